#include "unit.h"

#include "route/statement_kind.h"

/* A statement, and what stands behind the list of its WITH; null: it has none. */
static const struct {
    const char *sql, *main;
} mains[] = {
    {"INSERT INTO t VALUES (1)", NULL},
    {"WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", "INSERT INTO t SELECT * FROM a"},
    {"with recursive a(n, m) as not materialized (select ')'), \"with\" AS MATERIALIZED (select "
     "(1)) -- SELECT\n /* SELECT */ SELECT 2",
     "SELECT 2"},
    {"WITH a AS (SELECT E'\\')', $$)$$, \")\" FROM b) UPDATE t SET x = 1", "UPDATE t SET x = 1"},
    {"WITH insert AS (INSERT INTO t VALUES (1) RETURNING *), x AS (SELECT 1) (SELECT * FROM "
     "insert)",
     "(SELECT * FROM insert)"},
    {"WITH a AS (SELECT 1) SEARCH DEPTH FIRST BY x SET y SELECT 1", NULL},
    {"WITH a AS (SELECT 1", NULL},
    {"WITH a AS SELECT 1", NULL},
    {"WITH", NULL},
    {"WITH a AS (SELECT 1),", NULL},
    {"WITH 'a", NULL},
};

static void finds_the_statement_behind_with(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(mains); i++) {
        size_t at = statement_main(span_of(mains[i].sql));
        if (mains[i].main)
            assert_string_equal(mains[i].sql + at, mains[i].main);
        else
            assert_int_equal(at, 0);
    }
}

static void finds_what_changes_data(void **state)
{
    static const struct {
        const char *sql, *word;
    } rows[] = {
        {"INSERT INTO t VALUES (1)", "INSERT"},
        {" -- a\n((Delete FROM t))", "Delete"},
        {"SELECT 1 FOR UPDATE", NULL},
        {"SELECT insert FROM update", NULL},
        {"TABLE merge", NULL},
        {"WITH a AS (SELECT 1) SELECT * FROM a FOR UPDATE", NULL},
        {"WITH a AS (SELECT 1), b(x) AS NOT MATERIALIZED (/* */ update t SET y = 1 RETURNING y) "
         "SELECT * FROM b",
         "update"},
        {"WITH RECURSIVE delete AS (SELECT 1) MERGE INTO t", "MERGE"},
        {"WITH a AS (SELECT 1) SEARCH DEPTH FIRST BY x SET y SELECT 1", NULL},
        {"WITH a AS (INSERT", "INSERT"},
        {"WITH", NULL},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct span word = statement_change(span_of(rows[i].sql));
        if (rows[i].word)
            assert_true(span_is(word, rows[i].word));
        else
            assert_int_equal(word.size, 0);
    }
}

static void finds_an_order_by_a_value(void **state)
{
    static const struct {
        const char *sql;
        unsigned number;
    } rows[] = {
        {"SELECT a FROM t ORDER BY $2", 2},
        {"SELECT a FROM t order /* */ by $12::text desc, a LIMIT $1", 12},
        {"SELECT a FROM (SELECT b FROM t ORDER BY $3) AS u", 3},
        {"SELECT a FROM t ORDER BY $1, a", 1},
        {"SELECT a FROM t ORDER BY a, b LIMIT $1", 0},
        {"SELECT a FROM t ORDER BY $1 = a", 0},
        {"SELECT a FROM t ORDER BY $1::int - b", 0},
        {"SELECT a FROM t ORDER BY $a$x$a$", 0},
        {"SELECT ' ORDER BY $1'", 0},
        {"SELECT a FROM t GROUP BY $1", 0},
        {"SELECT a FROM t ORDER BY", 0},
        {"SELECT a FROM t ORDER BY $", 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_int_equal(statement_order_parameter(span_of(rows[i].sql)), rows[i].number);
}

static void knows_what_can_be_a_relation(void **state)
{
    (void)state;
    assert_true(statement_is_relation(SPAN_LITERAL("-- a\n ((select 1))")));
    assert_true(statement_is_relation(SPAN_LITERAL("Delete FROM t")));
    assert_false(statement_is_relation(SPAN_LITERAL("CALL f()")));
    assert_false(statement_is_relation(SPAN_LITERAL("'select'")));
    assert_false(statement_is_relation(SPAN_LITERAL("")));
    assert_true(statement_deletes(SPAN_LITERAL("WITH a AS (SELECT 1) DELETE FROM t")));
    assert_false(statement_deletes(SPAN_LITERAL("WITH a AS (DELETE FROM t) SELECT 1")));
}

static void refuses_what_leaves_the_transaction(void **state)
{
    static const char *const good[] = {"SET LOCAL a = 1",       "SET CONSTRAINTS ALL DEFERRED",
                                       "PREPARE a AS SELECT 1", "SELECT 'commit'",
                                       "LOCK TABLE t",          "settle"};
    static const char *const bad[] = {"BEGIN",     "end;",        "SET a = 1",  "SET SESSION a = 1",
                                      "RESET ALL", "savepoint a", "DISCARD ALL"};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++)
        assert_null(statement_problem(span_of(good[i])));
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_non_null(statement_problem(span_of(bad[i])));
}

static void finds_words_outside_of_brackets(void **state)
{
    static const char *const with[] = {"SELECT 1 LIMIT 5",  "(SELECT 1) limit 5",
                                       "a /* ( */ Limit 1", "f(x[1]) LIMIT 1",
                                       "E'\\'' LIMIT 1",    ") LIMIT 1"};
    static const char *const without[] = {"SELECT (SELECT 1 LIMIT 1)",
                                          "SELECT 'limit', \"limit\"",
                                          "SELECT t.limit",
                                          "SELECT t . limit",
                                          "-- limit\n1",
                                          "$a$ limit $a$",
                                          "a[limit]",
                                          "limited",
                                          ""};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(with); i++)
        assert_true(statement_has_outermost(span_of(with[i]), "limit"));
    for (size_t i = 0; i < ARRAY_COUNT(without); i++)
        assert_false(statement_has_outermost(span_of(without[i]), "limit"));
}

static void tells_where_columns_may_become_null(void **state)
{
    static const char *const may[] = {
        "FROM a LEFT JOIN b ON true",
        "FROM (SELECT * FROM a NATURAL full /* x */ OUTER JOIN b) AS c",
        "SELECT 1 UNION ALL SELECT 2",
        "GROUP BY ROLLUP (a)",
        "GROUP BY GROUPING SETS (a)",
        "RIGHT\nJOIN b"};
    static const char *const never[] = {"FROM a JOIN b ON true", "SELECT left(a, 5), b.left join",
                                        "SELECT 'left join', \"left\" AS join -- left join"};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(may); i++)
        assert_true(statement_may_add_nulls(span_of(may[i])));
    for (size_t i = 0; i < ARRAY_COUNT(never); i++)
        assert_false(statement_may_add_nulls(span_of(never[i])));
}

UNIT_MAIN(cmocka_unit_test(finds_words_outside_of_brackets),
          cmocka_unit_test(tells_where_columns_may_become_null),
          cmocka_unit_test(finds_the_statement_behind_with),
          cmocka_unit_test(finds_what_changes_data), cmocka_unit_test(finds_an_order_by_a_value),
          cmocka_unit_test(knows_what_can_be_a_relation),
          cmocka_unit_test(refuses_what_leaves_the_transaction))
