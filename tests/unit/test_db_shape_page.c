#include "unit.h"

#include <string.h>

#include "db/shape_page.h"

#define STATEMENT SPAN_LITERAL("SELECT 'ü' AS a -- a comment")

static struct arena *arena;

static int arena_begin(void **state)
{
    (void)state;
    arena = arena_new();
    return arena ? 0 : -1;
}

static int arena_end(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static const char *wrapped(const struct db_page_column *columns, size_t count,
                           enum db_page_side side)
{
    const struct db_page page = {.columns = columns, .column_count = count, .size = 1, .key = 3};
    size_t offset;
    const char *sql = db_shape_wrap_page(&page, side, STATEMENT, arena, &offset);
    assert_non_null(sql);
    const char *statement = strstr(sql, "SELECT 'ü' AS a -- a comment\n)");
    assert_non_null(statement);
    assert_int_equal(statement - sql, offset); /* what stands before is ASCII */
    return statement;
}

static const struct db_page_column plain[] = {
    {.name = SPAN_LITERAL("made"), .descending = true},
    {.name = SPAN_LITERAL("id"), .descending = true},
};

static const struct db_page_column mixed[] = {
    {.name = SPAN_LITERAL("made"), .descending = true},
    {.name = SPAN_LITERAL("id")},
};

static const struct db_page_column nullable[] = {
    {.name = SPAN_LITERAL("made"), .nullable = true},
    {.name = SPAN_LITERAL("id")},
};

#define MADE "larder_row.\"made\""
#define ID "larder_row.\"id\""

static const struct {
    const struct db_page_column *columns;
    enum db_page_side side;
    const char *condition; /* null: none */
    const char *order;
} conditions[] = {
    {plain, DB_PAGE_FIRST, NULL, MADE " DESC, " ID " DESC LIMIT $1"},
    {plain, DB_PAGE_AFTER, "((" MADE ", " ID ") < ($3, $4)) ORDER",
     MADE " DESC, " ID " DESC LIMIT"},
    {plain, DB_PAGE_BEFORE, "((" MADE ", " ID ") > ($3, $4)) ORDER", MADE ", " ID " LIMIT"},
    {mixed, DB_PAGE_AFTER,
     "((" MADE ") <= ($3)) AND (((" MADE ") < ($3)) OR (((" ID ") > ($4)))) ORDER",
     MADE " DESC, " ID " LIMIT"},
    {mixed, DB_PAGE_BEFORE,
     "((" MADE ") >= ($3)) AND (((" MADE ") > ($3)) OR (((" ID ") < ($4)))) ORDER",
     MADE ", " ID " DESC LIMIT"},
    {nullable, DB_PAGE_AFTER,
     "((" MADE ") >= ($3) OR (" MADE " IS NOT DISTINCT FROM NULL)) AND (((" MADE
     ") > ($3) OR (" MADE " IS NOT DISTINCT FROM NULL AND $3 IS DISTINCT FROM NULL)) OR (((" ID
     ") > ($4)))) ORDER",
     MADE ", " ID " LIMIT"},
    {nullable, DB_PAGE_BEFORE,
     "((" MADE ") <= ($3) OR ($3 IS NOT DISTINCT FROM NULL)) AND (((" MADE
     ") < ($3) OR ($3 IS NOT DISTINCT FROM NULL AND " MADE " IS DISTINCT FROM NULL)) OR (((" ID
     ") < ($4)))) ORDER",
     MADE " DESC, " ID " DESC LIMIT"},
};

static void the_condition_is_one_that_an_index_serves(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(conditions); i++) {
        const char *sql = wrapped(conditions[i].columns, 2, conditions[i].side);
        const char *where = strstr(sql, "WHERE "), *order = strstr(sql, "ORDER BY ");
        assert_non_null(order);
        order += strlen("ORDER BY ");
        if (!conditions[i].condition)
            assert_null(where);
        else if (!where || !span_starts(span_of(where + 6), conditions[i].condition))
            fail_msg("%s\nis not\n%s", where, conditions[i].condition);
        if (!span_starts(span_of(order), conditions[i].order))
            fail_msg("%s\nis not\n%s", order, conditions[i].order);
    }
}

static const char *const table_columns[] = {"id"};
static const struct watch by_id = {.schema = "s",
                                   .table = "t",
                                   .columns = table_columns,
                                   .column_count = 1,
                                   .narrow = table_columns,
                                   .narrow_count = 1};

static void tags_come_from_the_page_s_rows(void **state)
{
    const struct db_shape_tag tags[] = {
        {.watch = &by_id, .values = {{.column = "a b"}}, .most = 40},
        {.watch = &by_id, .values = {{.column = "a b"}}, .most = 40},
        {.watch = &by_id, .values = {{.parameter = 9}}}};
    const struct db_page page = {.columns = plain,
                                 .column_count = 2,
                                 .size = 1,
                                 .key = 3,
                                 .tags = tags,
                                 .tag_count = ARRAY_COUNT(tags)};
    size_t offset;
    (void)state;
    const char *sql = db_shape_wrap_page(&page, DB_PAGE_FIRST, STATEMENT, arena, &offset);
    assert_non_null(strstr(sql, "array_agg(DISTINCT "));
    assert_non_null(strstr(sql, "FILTER (WHERE (larder_row.\"a b\") IS NOT NULL)) "
                                "OPERATOR(pg_catalog.>) 40"));
    assert_non_null(strstr(sql, "AS larder_key, larder_row.\"a b\" FROM ("));
    assert_non_null(strstr(sql, "($9)"));
}

UNIT_MAIN(cmocka_unit_test_setup_teardown(the_condition_is_one_that_an_index_serves, arena_begin,
                                          arena_end),
          cmocka_unit_test_setup_teardown(tags_come_from_the_page_s_rows, arena_begin, arena_end))
