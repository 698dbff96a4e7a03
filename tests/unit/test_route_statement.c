#include "unit.h"

#include "route/statement.h"

/* A statement, what PostgreSQL gets, and the names of $1, $2 … */
static const struct {
    const char *text, *sql, *names;
} statements[] = {
    {"SELECT 1", "SELECT 1", ""},
    {"  \n SELECT 1 ; -- end\n /* x */ ; ", "SELECT 1", ""},
    {"SELECT 1 -- why", "SELECT 1", ""},
    {"SELECT :a, :b, :a", "SELECT $1, $2, $1", "a b"},
    {"SELECT :a::int, x::text, y:::z", "SELECT $1::int, x::text, y:::z", "a"},
    {"SELECT f(a := :a, b:=:b)", "SELECT f(a := $1, b:=$2)", "a b"},
    {"LIMIT:limit OFFSET:skip", "LIMIT$1 OFFSET$2", "limit skip"},
    {"SELECT ':a', 'it''s :a', :b", "SELECT ':a', 'it''s :a', $1", "b"},
    {"SELECT 'a\\', :b, '\\'", "SELECT 'a\\', $1, '\\'", "b"},
    {"SELECT E'\\':a\\\\', :b", "SELECT E'\\':a\\\\', $1", "b"},
    {"SELECT e'a''\\':a', :b", "SELECT e'a''\\':a', $1", "b"},
    {"SELECT E'a'\n -- c\n '\\':a', :b", "SELECT E'a'\n -- c\n '\\':a', $1", "b"},
    {"SELECT E'a' '\\', :b", "SELECT E'a' '\\', $1", "b"},
    {"SELECT the'\\', :b", "SELECT the'\\', $1", "b"},
    {"SELECT U&'\\0061:a', :b", "SELECT U&'\\0061:a', $1", "b"},
    {"SELECT u&\"d!:a\" UESCAPE '!', :b", "SELECT u&\"d!:a\" UESCAPE '!', $1", "b"},
    {"SELECT B'01', X'1F', N':a', :b", "SELECT B'01', X'1F', N':a', $1", "b"},
    {"SELECT \":a\", \"x\"\":a\", :b", "SELECT \":a\", \"x\"\":a\", $1", "b"},
    {"SELECT $$ :a ' $$, :b", "SELECT $$ :a ' $$, $1", "b"},
    {"SELECT $t$ $$ :a $u$ $t$, :b", "SELECT $t$ $$ :a $u$ $t$, $1", "b"},
    {"SELECT a$b$, :c, d$b$", "SELECT a$b$, $1, d$b$", "c"},
    {"SELECT $\xc3\xa9$ :a $\xc3\xa9$, :b", "SELECT $\xc3\xa9$ :a $\xc3\xa9$, $1", "b"},
    {"SELECT 1 -- :a\n, :b", "SELECT 1 -- :a\n, $1", "b"},
    {"SELECT 1 -- :a\r, :b", "SELECT 1 -- :a\r, $1", "b"},
    {"SELECT /* :a /* :a */ ' :a */ :b", "SELECT /* :a /* :a */ ' :a */ $1", "b"},
    {"SELECT 1/*:a*/+/**/:b", "SELECT 1/*:a*/+/**/$1", "b"},
    {"SELECT a[1:2], a[1:n], a[n:m], a[(1):n]", "SELECT a[1:2], a[1:n], a[n:m], a[(1):n]", ""},
    {"SELECT a[1 :n], a[b[1] :n], a[\"x\":n]", "SELECT a[1 :n], a[b[1] :n], a[\"x\":n]", ""},
    {"SELECT a[:n], a[:n:m], a[:n : :m]", "SELECT a[$1], a[$1:m], a[$1 : $2]", "n m"},
    {"SELECT a[1: :n], a[f(:n):2]", "SELECT a[1: $1], a[f($1):2]", "n"},
    {"SELECT ARRAY[1, :n, CASE WHEN b THEN :m END]", "SELECT ARRAY[1, $1, CASE WHEN b THEN $2 END]",
     "n m"},
    {"SELECT a[lo::int:hi], ARRAY[[:n]]", "SELECT a[lo::int:hi], ARRAY[[$1]]", "n"},
    {"SELECT a ? 'b', a ?| b, a @> :c, a #>> '{b}'", "SELECT a ? 'b', a ?| b, a @> $1, a #>> '{b}'",
     "c"},
    {"SELECT :auth.sub, :auth.app.role, :a.b", "SELECT $1, $2, $3.b", "auth.sub auth.app.role a"},
    {"SELECT : a, :1, :", "SELECT : a, :1, :", ""},
    {"SELECT 1.5e10, 0x1F, 1.:a", "SELECT 1.5e10, 0x1F, 1.$1", "a"},
    {"SELECT :_x1$", "SELECT $1$", "_x1"},
    {"-- @ 5 pm\nSELECT 1", "SELECT 1", ""},
    {"", "", ""},
    {" ; -- nothing", "", ""},
};

static void names_are(const struct statement *statement, const char *names)
{
    struct span rest = span_of(names);
    for (unsigned n = 1; n <= statement->parameter_count; n++) {
        struct span name = span_split(&rest, ' ');
        for (size_t i = 0; i < statement->placeholder_count; i++)
            if (statement->placeholders[i].number == n)
                assert_true(span_equal(statement->placeholders[i].name, name));
    }
    assert_int_equal(rest.size, 0);
}

static void numbers_placeholders(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(statements); i++) {
        struct arena *arena = arena_new();
        struct fault_list faults = {.arena = arena};
        struct statement statement;
        bool parsed =
            statement_parse("f.sql", span_of(statements[i].text), 0, arena, &faults, &statement);
        if (!parsed)
            fail_msg("%s: %s", statements[i].text, faults.faults[0].text);
        if (!span_is(statement.sql, statements[i].sql))
            fail_msg("%s: %.*s", statements[i].text, SPAN_PRINTF(statement.sql));
        names_are(&statement, statements[i].names);
        fault_list_free(&faults);
        arena_free(arena);
    }
}

/* A statement and its one fault. */
static const struct {
    const char *text;
    unsigned line, column;
    const char *fault;
} faulty[] = {
    {"SELECT\n 'abc", 2, 2, "the string '…' has no end"},
    {"SELECT E'abc\\'", 1, 8, "the string E'…' has no end"},
    {"SELECT E'abc\\", 1, 8, "the string E'…' has no end"},
    {"SELECT \"abc", 1, 8, "the name \"…\" has no end"},
    {"SELECT $a$ abc $b$", 1, 8, "the dollar-quoted string has no end"},
    {"SELECT \xc3\xa9, /* /* */", 1, 11, "the comment /* has no end */"},
    {"SELECT $1", 1, 8, "$1: parameters have names; write :name"},
    {"SELECT f($12+1)", 1, 10, "$12: parameters have names; write :name"},
    {"SELECT 1; SELECT 2", 1, 11,
     "more after the ';': a route file has one statement, and only comments may follow it"},
    {"SELECT (1", 1, 8, "this '(' is never closed"},
    {"SELECT a[1", 1, 9, "this '[' is never closed"},
    {"SELECT 1)", 1, 9, "no '(' is open for this ')'"},
    {"SELECT 1 -- @cache ttl=5s", 1, 10,
     "@cache after the statement began: annotations stand on lines before it"},
    {"SELECT 1\r\n--@anything\r\n", 2, 1,
     "@anything after the statement began: annotations stand on lines before it"},
};

static void tells_where_it_is_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(faulty); i++) {
        struct arena *arena = arena_new();
        struct fault_list faults = {.arena = arena};
        struct statement statement;
        assert_false(
            statement_parse("f.sql", span_of(faulty[i].text), 0, arena, &faults, &statement));
        assert_int_equal(faults.count, 1);
        assert_string_equal(faults.faults[0].text, faulty[i].fault);
        assert_string_equal(faults.faults[0].file, "f.sql");
        assert_int_equal(faults.faults[0].line, faulty[i].line);
        assert_int_equal(faults.faults[0].column, faulty[i].column);
        fault_list_free(&faults);
        arena_free(arena);
    }
}

static void leads_positions_back(void **state)
{
    static const char text[] = "-- h\nSELECT '\xc3\xa9', :limit,\n  :limit + nonsense";
    static const struct {
        size_t position;
        unsigned line, column;
    } places[] = {
        {1, 2, 1},   /* SELECT */
        {9, 2, 9},   /* é */
        {13, 2, 13}, /* $1 */
        {14, 2, 13}, /* inside of $1 */
        {15, 2, 19}, /* the comma behind it */
        {19, 3, 3},  /* the second $1 */
        {22, 3, 10}, /* + */
        {24, 3, 12}, /* nonsense */
        {0, 2, 1},
    };
    struct arena *arena = arena_new();
    struct fault_list faults = {.arena = arena};
    struct statement statement;
    unsigned line, column;
    (void)state;
    assert_true(statement_parse("f.sql", span_of(text), 5, arena, &faults, &statement));
    assert_int_equal(statement.line, 2);
    assert_int_equal(statement.file_offset, 5);
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        statement_locate(&statement, span_of(text), places[i].position, &line, &column);
        assert_int_equal(line, places[i].line);
        assert_int_equal(column, places[i].column);
    }
    assert_int_equal(statement.placeholders[1].line, 3);
    assert_int_equal(statement.placeholders[1].column, 3);
    arena_free(arena);
}

static void bounds_the_parameters(void **state)
{
    struct arena *arena = arena_new();
    struct fault_list faults = {.arena = arena};
    struct statement statement;
    const char *text = "SELECT 1";
    (void)state;
    for (int i = 0; i < STATEMENT_PARAMETERS_MAX; i++)
        text = arena_format(arena, "%s, :p%d", text, i);
    assert_true(statement_parse("f", span_of(text), 0, arena, &faults, &statement));
    assert_int_equal(statement.parameter_count, STATEMENT_PARAMETERS_MAX);
    text = arena_format(arena, "%s, :more", text);
    assert_false(statement_parse("f", span_of(text), 0, arena, &faults, &statement));
    assert_string_equal(faults.faults[0].text, "a statement has at most 1000 parameters");
    fault_list_free(&faults);
    arena_free(arena);
}

static void writes_values_in_their_places(void **state)
{
    const char *const values[] = {"1", "(NULL::int)", "3", "4", "5", "6", "7", "8", "9", "ten"};
    struct arena *arena = arena_new();
    struct fault_list faults = {.arena = arena};
    struct bytes out CLEANUP(bytes_free) = BYTES_EMPTY;
    struct statement statement;
    const char *text = "-- ü :x\nSELECT ':a', :a,:b+:a, :c:d:e:f:g:h :i(:j)LIMIT:j ; -- :k";
    (void)state;
    assert_true(statement_parse("f.sql", span_of(text), 0, arena, &faults, &statement));
    statement_write(&statement, values, &out);
    assert_string_equal(bytes_text(&out), "SELECT ':a', 1,(NULL::int)+1, 345678 9(ten)LIMITten");
    arena_free(arena);
}

/* A write's statements, and the file's offsets they begin at. */
static void parts_a_writes_statements(void **state)
{
    static const char text[] = " UPDATE t SET a = :a; -- why; not\n;INSERT INTO t VALUES (';', :b, "
                               ":a); ;DELETE FROM t WHERE b = :b";
    static const char *const wanted[] = {
        "UPDATE t SET a = $1", "INSERT INTO t VALUES (';', $1, $2)", "DELETE FROM t WHERE b = $1"};
    struct arena *arena = arena_new();
    struct fault_list faults = {.arena = arena};
    struct statement *all;
    size_t count;
    (void)state;
    assert_true(statement_parse_all("f.sql", span_of(text), 0, arena, &faults, &all, &count));
    assert_int_equal(count, ARRAY_COUNT(wanted));
    for (size_t i = 0; i < count; i++) {
        assert_true(span_is(all[i].sql, wanted[i]));
        assert_memory_equal(text + all[i].file_offset, wanted[i], 6);
    }
    names_are(&all[1], "b a");
    assert_true(
        statement_parse_all("f.sql", SPAN_LITERAL(" ; -- x\n;"), 0, arena, &faults, &all, &count));
    assert_int_equal(count, 0);
    fault_list_free(&faults);
    arena_free(arena);
}

#define TRANSACTION "a write's statements are one transaction already, which ends with the last one"

static const struct {
    const char *text;
    unsigned column;
    const char *fault;
} faulty_writes[] = {
    {"SELECT 1; COMMIT", 11, TRANSACTION},
    {"/* x */ rollback /* y */ to a", 9, TRANSACTION},
    {"PREPARE /**/ transaction 'a'", 1, TRANSACTION},
    {"SELECT 1; Set search_path = a; SELECT 2", 11,
     "SET would last for other requests: write SET LOCAL"},
    {"COPY a FROM STDIN", 1, "a write can't COPY: it has no stream of rows"},
    {"SELECT (1; SELECT 2", 8, "this '(' is never closed"},
    {"SELECT 1; SELECT [2", 18, "this '[' is never closed"},
    {"SELECT 1; SELECT 2)", 19, "no '(' is open for this ')'"},
};

static void tells_the_fault_in_a_write(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(faulty_writes); i++) {
        struct arena *arena = arena_new();
        struct fault_list faults = {.arena = arena};
        struct statement *all;
        size_t count;
        assert_false(statement_parse_all("f.sql", span_of(faulty_writes[i].text), 0, arena, &faults,
                                         &all, &count));
        assert_int_equal(faults.count, 1);
        assert_string_equal(faults.faults[0].text, faulty_writes[i].fault);
        assert_int_equal(faults.faults[0].column, faulty_writes[i].column);
        fault_list_free(&faults);
        arena_free(arena);
    }
}

static void bounds_the_statements(void **state)
{
    struct bytes text = BYTES_EMPTY;
    struct arena *arena = arena_new();
    struct fault_list faults = {.arena = arena};
    struct statement *all;
    size_t count;
    (void)state;
    for (size_t i = 0; i < STATEMENTS_MAX; i++)
        bytes_append_text(&text, "SELECT 1;");
    assert_true(statement_parse_all("f", bytes_span(&text), 0, arena, &faults, &all, &count));
    assert_int_equal(count, STATEMENTS_MAX);
    bytes_append_text(&text, "SELECT 2");
    assert_false(statement_parse_all("f", bytes_span(&text), 0, arena, &faults, &all, &count));
    assert_string_equal(faults.faults[0].text, "a route has at most 64 statements");
    bytes_free(&text);
    fault_list_free(&faults);
    arena_free(arena);
}

UNIT_MAIN(cmocka_unit_test(numbers_placeholders), cmocka_unit_test(tells_where_it_is_wrong),
          cmocka_unit_test(leads_positions_back), cmocka_unit_test(bounds_the_parameters),
          cmocka_unit_test(writes_values_in_their_places),
          cmocka_unit_test(parts_a_writes_statements), cmocka_unit_test(tells_the_fault_in_a_write),
          cmocka_unit_test(bounds_the_statements))
