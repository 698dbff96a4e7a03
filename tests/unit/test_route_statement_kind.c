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
          cmocka_unit_test(knows_what_can_be_a_relation),
          cmocka_unit_test(refuses_what_leaves_the_transaction))
