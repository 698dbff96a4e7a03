/*
 * The shape of a write's last statement.
 */
#include "db/shape.h"
#include "route/statement_kind.h"

static const struct body_row {
    const char *body;
    bool single; /* the relation has one column, larder_value */
    bool row;    /* without a row it is null */
} body_rows[] = {
    [DB_SHAPE_ROWS] = {.body = "coalesce(json_agg(row_to_json(larder_row.*)), '[]')"},
    [DB_SHAPE_ROW] = {.body = "row_to_json(larder_row.*)", .row = true},
    [DB_SHAPE_VALUE] = {.body = "coalesce(to_json(larder_value), 'null')",
                        .single = true,
                        .row = true},
    [DB_SHAPE_JSON] = {.body = "coalesce(larder_value::text, 'null')", .single = true, .row = true},
    [DB_SHAPE_NONE] = {.body = "count(*)"},
};

static size_t characters(struct span text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += (text.data[i] & 0xc0) != 0x80;
    return count;
}

/* A subquery as an expression: PostgreSQL refuses a second row of it. */
static void append_body(const struct db_shape_write *wanted, struct bytes *out)
{
    const struct body_row *row = &body_rows[wanted->shape];
    bool must = row->row && wanted->row_wanted;
    bytes_append_format(out, "%s(SELECT %s FROM larder_row)", must ? "coalesce(" : "", row->body);
    if (must)
        bytes_append_text(out, "::text, current_setting('" DB_SHAPE_NO_ROW "'))");
}

static void append_columns(const struct db_shape_write *wanted, struct bytes *out)
{
    for (size_t i = 0; i < wanted->column_count; i++) {
        bytes_append_text(out, ", (SELECT larder_row.");
        watch_append_identifier(
            body_rows[wanted->shape].single ? "larder_value" : wanted->columns[i], out);
        bytes_append_text(out, "::text FROM larder_row LIMIT 1)");
    }
}

bool db_shape_wrap_write(const struct db_shape_write *wanted, struct span statement,
                         struct arena *arena, struct db_shaped *ret_shaped)
{
    struct bytes opening CLEANUP(bytes_free) = BYTES_EMPTY, after CLEANUP(bytes_free) = BYTES_EMPTY;
    size_t main = statement_main(statement);
    bytes_append_format(&opening, "%s larder_row%s AS (", main ? "," : "WITH",
                        body_rows[wanted->shape].single ? " (larder_value)" : "");
    bytes_append_text(&after, "\n) SELECT ");
    append_body(wanted, &after);
    append_columns(wanted, &after);
    if (opening.failed || after.failed)
        return false;
    const char *sql = arena_format(arena, "%.*s%s%.*s%s", SPAN_PRINTF(span_first(statement, main)),
                                   bytes_text(&opening), SPAN_PRINTF(span_from(statement, main)),
                                   bytes_text(&after));
    if (!sql)
        return false;
    *ret_shaped = (struct db_shaped){.sql = sql};
    if (main) {
        ret_shaped->split = characters(span_first(statement, main));
        ret_shaped->inserted = characters(bytes_span(&opening));
    } else {
        ret_shaped->before = characters(bytes_span(&opening));
    }
    return true;
}

size_t db_shape_position(const struct db_shaped *shaped, size_t position)
{
    if (position <= shaped->before)
        return 0;
    position -= shaped->before;
    if (position <= shaped->split || !shaped->inserted)
        return position;
    return position > shaped->split + shaped->inserted ? position - shaped->inserted : 0;
}
