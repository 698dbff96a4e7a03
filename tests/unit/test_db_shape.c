#include "unit.h"

#include <string.h>

#include "db/shape.h"

#define STATEMENT SPAN_LITERAL("SELECT 'ü' AS a -- a comment")

static const char *const columns[] = {"id", "ü"};
static const struct watch by_id = {
    .schema = "social", .table = "ü", .columns = columns, .column_count = 2, .narrow = "id"};

static const struct db_shape_tag both_tags[] = {
    {.watch = &by_id, .parameter = 2},
    {.watch = &by_id, .column = "a b", .most = 40},
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
    const struct db_shape_tag tag = {.watch = &by_id, .parameter = 1, .optional = true};
    struct arena *arena = arena_new();
    size_t offset;
    (void)state;
    const char *sql = db_shape_wrap(DB_SHAPE_ROWS, STATEMENT, &tag, 1, arena, &offset);
    assert_non_null(strstr(sql, "CASE WHEN $1 IS NULL THEN 'social.\"ü\"(id,\"ü\")' ELSE (CASE"));
    arena_free(arena);
}

UNIT_MAIN(cmocka_unit_test(the_statement_stands_unchanged_at_the_offset),
          cmocka_unit_test(tags_are_a_second_column),
          cmocka_unit_test(an_optional_parameter_without_a_value_means_the_whole_table))
