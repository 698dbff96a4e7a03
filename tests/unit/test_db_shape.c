#include "unit.h"

#include <string.h>

#include "db/shape.h"
#include "db/shape_values.h"

#define STATEMENT SPAN_LITERAL("SELECT 'ü' AS a -- a comment")

static const char *const columns[] = {"id", "ü"};
static const struct watch by_id = {.schema = "social",
                                   .table = "ü",
                                   .columns = columns,
                                   .column_count = 2,
                                   .narrow = columns,
                                   .narrow_count = 1};
static const struct watch by_both = {.schema = "s",
                                     .table = "t",
                                     .columns = columns,
                                     .column_count = 1,
                                     .narrow = columns,
                                     .narrow_count = 2};

static const struct watch by_name = {.schema = "s",
                                     .table = "n",
                                     .columns = columns + 1,
                                     .column_count = 1,
                                     .narrow = columns + 1,
                                     .narrow_count = 1};

static const struct db_shape_tag both_tags[] = {
    {.watch = &by_id, .values = {{.parameter = 2}}},
    {.watch = &by_id, .values = {{.column = "a b"}}, .most = 40},
};

/* Characters, as PostgreSQL counts them, to bytes. */
static size_t bytes_of(const char *text, size_t count)
{
    size_t at = 0;
    for (; count; count--)
        for (at++; (text[at] & 0xc0) == 0x80;)
            at++;
    return at;
}

static void the_statement_stands_unchanged_at_the_offset(void **state)
{
    const struct span statement = STATEMENT;
    struct arena *arena = arena_new();
    (void)state;
    for (enum db_shape shape = DB_SHAPE_ROWS; shape <= DB_SHAPE_NONE; shape++) {
        size_t offset;
        for (size_t tags = 0; tags <= ARRAY_COUNT(both_tags); tags++) {
            const char *sql = db_shape_wrap(shape, statement, both_tags, tags, arena, &offset);
            assert_non_null(sql);
            size_t at = bytes_of(sql, offset);
            assert_memory_equal(sql + at, statement.data, statement.size);
            /* The newline keeps a closing comment from swallowing what follows. */
            assert_int_equal(sql[at + statement.size], '\n');
        }
    }
    arena_free(arena);
}

static void tags_are_a_second_column(void **state)
{
    static const char *const values[] = {
        [DB_SHAPE_ROWS] = "larder_row.\"a b\"",       [DB_SHAPE_ROW] = "larder_row.\"a b\"",
        [DB_SHAPE_VALUE] = "larder_row.larder_value", [DB_SHAPE_JSON] = "larder_row.larder_value",
        [DB_SHAPE_NONE] = "larder_row.\"a b\"",
    };
    struct arena *arena = arena_new();
    (void)state;
    for (enum db_shape shape = DB_SHAPE_ROWS; shape <= DB_SHAPE_NONE; shape++) {
        size_t offset;
        const char *bare = db_shape_wrap(shape, STATEMENT, NULL, 0, arena, &offset);
        const char *sql = db_shape_wrap(shape, STATEMENT, both_tags, 2, arena, &offset);
        assert_null(strstr(bare, "concat_ws"));
        assert_non_null(strstr(sql, "concat_ws(E'\\n', (CASE WHEN ($2) IS NULL"));
        assert_non_null(strstr(sql, values[shape]));
        assert_non_null(strstr(sql, "THEN 'social.\"ü\"(id,\"ü\")'"));
    }
    arena_free(arena);
}

static void an_optional_parameter_without_a_value_means_the_whole_table(void **state)
{
    const struct db_shape_tag tag = {.watch = &by_id,
                                     .values = {{.parameter = 1, .optional = true}}};
    struct arena *arena = arena_new();
    size_t offset;
    (void)state;
    const char *sql = db_shape_wrap(DB_SHAPE_ROWS, STATEMENT, &tag, 1, arena, &offset);
    assert_non_null(strstr(sql, "CASE WHEN $1 IS NULL THEN 'social.\"ü\"(id,\"ü\")' ELSE (CASE"));
    arena_free(arena);
}

static void a_parameter_without_a_value_leaves_those_before_it(void **state)
{
    const struct db_shape_tag tag = {.watch = &by_both,
                                     .values = {{.parameter = 1, .brief = true},
                                                {.parameter = 2, .optional = true, .brief = true}}};
    struct arena *arena = arena_new();
    size_t offset;
    (void)state;
    const char *sql = db_shape_wrap(DB_SHAPE_ROWS, STATEMENT, &tag, 1, arena, &offset);
    assert_non_null(strstr(sql, "(E'\\n', CASE WHEN $2 IS NULL THEN coalesce('s.t(id).id=' "));
    assert_non_null(
        strstr(sql, " ELSE ('s.t(id).id,\"ü\"=' OPERATOR(pg_catalog.||) coalesce(($1)"));
    arena_free(arena);
}

static void values_of_rows_and_parameters_make_one_tag(void **state)
{
    const struct db_shape_tag tag = {
        .watch = &by_both,
        .values = {{.parameter = 1, .brief = true}, {.column = "b", .brief = true}},
        .most = 9};
    struct arena *arena = arena_new();
    size_t offset;
    (void)state;
    const char *sql = db_shape_wrap(DB_SHAPE_ROWS, STATEMENT, &tag, 1, arena, &offset);
    assert_non_null(strstr(sql, "array_agg(DISTINCT coalesce(($1)::pg_catalog.text, 'null') "));
    assert_non_null(strstr(sql, "coalesce((larder_row.b)::pg_catalog.text, 'null'))) "
                                "OPERATOR(pg_catalog.>) 9 THEN 's.t(id)'"));
    sql = db_shape_wrap(DB_SHAPE_ROW, STATEMENT, &tag, 1, arena, &offset);
    assert_non_null(strstr(sql, "CASE WHEN larder_found.larder_body IS NULL THEN 's.t(id)' END"));
    assert_non_null(strstr(sql, ", NULL, ('s.t(id).id,\"ü\"=' "));
    arena_free(arena);
}

static const struct db_shape_tag value_tags[] = {
    {.watch = &by_id, .values = {{.column = "a", .brief = true}}, .most = 9},
    {.watch = &by_id, .values = {{.column = "b"}}, .most = 9},
    {.watch = &by_both,
     .values = {{.column = "a", .brief = true}, {.column = "b", .brief = true}},
     .most = 9},
    {.watch = &by_name, .values = {{.column = "a", .brief = true}}, .most = 9},
};

static void values_of_one_column_are_told_once_for_all_tags(void **state)
{
    struct arena *arena = arena_new();
    size_t offset;
    (void)state;
    const char *sql = db_shape_wrap(DB_SHAPE_ROWS, STATEMENT, value_tags, 4, arena, &offset);
    assert_non_null(strstr(
        sql, ", CASE WHEN pg_catalog.cardinality(pg_catalog.array_agg(DISTINCT larder_row.a)) "
             "OPERATOR(pg_catalog.<=) 9 THEN '=0=' OPERATOR(pg_catalog.||) "
             "pg_catalog.array_to_string(pg_catalog.array_agg(DISTINCT larder_row.a), ',', '') "
             "ELSE '=0' END, CASE WHEN"));
    assert_null(strstr(sql, "'=1"));
    assert_null(strstr(sql, "'=2"));
    assert_null(strstr(sql, "'=3"));
    arena_free(arena);
}

static const struct {
    const char *text, *tags; /* null: refused */
} told[] = {
    {"", ""},
    {"a\nb", "a\nb\n"},
    {"s.t(id)\n=0=1,20", "s.t(id)\nsocial.\"ü\"(id,\"ü\").id=1\nsocial.\"ü\"(id,\"ü\").id=20\n"
                         "s.n(\"ü\").\"ü\"=1\ns.n(\"ü\").\"ü\"=20\n"},
    {"=0=7,", "social.\"ü\"(id,\"ü\").id=7\nsocial.\"ü\"(id,\"ü\").id is null\n"
              "s.n(\"ü\").\"ü\"=7\ns.n(\"ü\").\"ü\" is null\n"},
    {"=0=", "social.\"ü\"(id,\"ü\").id is null\ns.n(\"ü\").\"ü\" is null\n"},
    {"=0\nz", "social.\"ü\"(id,\"ü\")\ns.n(\"ü\")\nz\n"},
    {"=1=7", NULL},
    {"=4=7", NULL},
    {"==7", NULL},
    {"=", NULL},
};

static void told_values_are_written_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(told); i++) {
        struct bytes out CLEANUP(bytes_free) = BYTES_EMPTY;
        bool good = shape_values_expand(value_tags, 4, span_of(told[i].text), &out);
        assert_int_equal(good, told[i].tags != NULL);
        if (good)
            assert_string_equal(bytes_text(&out), told[i].tags);
    }
}

static const struct {
    enum db_shape shape;
    bool row_wanted;
    const char *statement, *sql;
} writes[] = {
    {DB_SHAPE_ROWS, true, "INSERT INTO t DEFAULT VALUES RETURNING *",
     "WITH larder_row AS (INSERT INTO t DEFAULT VALUES RETURNING *\n) SELECT (SELECT "
     "coalesce(json_agg(row_to_json(larder_row.*)), '[]') FROM larder_row), (SELECT "
     "larder_row.\"a b\"::text FROM larder_row LIMIT 1)"},
    {DB_SHAPE_ROW, true, "WITH ü AS (DELETE FROM t) INSERT INTO u DEFAULT VALUES RETURNING *",
     "WITH ü AS (DELETE FROM t) , larder_row AS (INSERT INTO u DEFAULT VALUES RETURNING *\n) "
     "SELECT "
     "coalesce((SELECT row_to_json(larder_row.*) FROM larder_row)::text, "
     "current_setting('larder.no_row')), (SELECT larder_row.\"a b\"::text FROM larder_row LIMIT "
     "1)"},
    {DB_SHAPE_JSON, false, "SELECT f()",
     "WITH larder_row (larder_value) AS (SELECT f()\n) SELECT (SELECT coalesce(larder_value::text, "
     "'null') FROM larder_row), (SELECT larder_row.larder_value::text FROM larder_row LIMIT 1)"},
};

static void a_write_is_wrapped_at_the_top(void **state)
{
    static const char *const wanted_columns[] = {"a b"};
    struct arena *arena = arena_new();
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(writes); i++) {
        const struct db_shape_write wanted = {.shape = writes[i].shape,
                                              .columns = wanted_columns,
                                              .column_count = 1,
                                              .row_wanted = writes[i].row_wanted};
        struct span statement = span_of(writes[i].statement);
        struct db_shaped shaped;
        assert_true(db_shape_wrap_write(&wanted, statement, arena, &shaped));
        assert_string_equal(shaped.sql, writes[i].sql);
        size_t found = 0; /* each character of the statement, in its order, and nothing else */
        for (size_t at = 1; at <= strlen(shaped.sql); at++) {
            size_t position = db_shape_position(&shaped, at);
            if (!position || found == statement.size)
                continue;
            assert_int_equal(position, ++found);
            if ((unsigned char)statement.data[0] < 0x80 && !strchr(writes[i].statement, '\xc3'))
                assert_int_equal(shaped.sql[at - 1], statement.data[position - 1]);
        }
        assert_true(found >= statement.size - 1);
    }
    arena_free(arena);
}

UNIT_MAIN(cmocka_unit_test(the_statement_stands_unchanged_at_the_offset),
          cmocka_unit_test(tags_are_a_second_column),
          cmocka_unit_test(an_optional_parameter_without_a_value_means_the_whole_table),
          cmocka_unit_test(a_parameter_without_a_value_leaves_those_before_it),
          cmocka_unit_test(values_of_rows_and_parameters_make_one_tag),
          cmocka_unit_test(values_of_one_column_are_told_once_for_all_tags),
          cmocka_unit_test(told_values_are_written_out),
          cmocka_unit_test(a_write_is_wrapped_at_the_top))
