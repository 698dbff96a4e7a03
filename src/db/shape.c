#include "db/shape.h"

#include "db/shape_values.h"

#define NEWLINE "E'\\n'"

/* A million rows in one array is fine: json_agg builds it in PostgreSQL, in one value up to 1 GB.
 */
static const struct shape_row {
    const char *body;
    const char *row;   /* how the statement's rows are called */
    const char *limit; /* null: the body is made of all rows */
} shape_rows[] = {
    [DB_SHAPE_ROWS] = {"coalesce(json_agg(row_to_json(larder_row.*)), '[]')", "larder_row", NULL},
    [DB_SHAPE_ROW] = {"row_to_json(larder_row.*)", "larder_row", " LIMIT 2"},
    [DB_SHAPE_VALUE] = {"coalesce(to_json(larder_value), 'null')", "larder_row (larder_value)",
                        " LIMIT 2"},
    [DB_SHAPE_JSON] = {"coalesce(larder_value::text, 'null')", "larder_row (larder_value)",
                       " LIMIT 2"},
    [DB_SHAPE_NONE] = {"count(*)", "larder_row", NULL},
};

/* What stands before and after the statement. */
struct around {
    enum db_shape shape;
    const struct db_shape_tag *tags;
    size_t count;
    struct bytes before, after;
};

bool db_shape_by_rows(const struct db_shape_tag *tag, size_t count)
{
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any = any || !tag->values[i].parameter;
    return any;
}

static bool comes_by_rows(const struct db_shape_tag *tag)
{
    return db_shape_by_rows(tag, tag->watch->narrow_count);
}

/* Where the value stands in SQL. */
static void append_expression(const struct around *around, const struct db_shape_value *value,
                              struct bytes *out)
{
    bool single = around->shape == DB_SHAPE_VALUE || around->shape == DB_SHAPE_JSON;
    if (value->parameter) {
        bytes_append_format(out, "$%u", value->parameter);
        return;
    }
    bytes_append_text(out, "larder_row.");
    watch_append_identifier(single ? "larder_value" : value->column, out);
}

/* The tag, or those of all `rows`, by the first `count` columns; by none it is the table's. */
static void append_narrowed(const struct around *around, const struct db_shape_tag *tag,
                            size_t count, bool rows, struct bytes *out)
{
    struct bytes texts[WATCH_NARROW_MAX] = {0};
    struct watch_value values[WATCH_NARROW_MAX];
    struct watch watch = *tag->watch;
    watch.narrow_count = count;
    for (size_t i = 0; i < count; i++) {
        append_expression(around, &tag->values[i], &texts[i]);
        values[i] =
            (struct watch_value){.sql = bytes_text(&texts[i]), .brief = tag->values[i].brief};
        out->failed = out->failed || texts[i].failed;
    }
    if (!count)
        watch_append_tag_literal(&watch, out);
    else if (rows && db_shape_by_rows(tag, count))
        watch_append_values_sql(&watch, values, tag->most, out);
    else
        watch_append_value_sql(&watch, values, out);
    for (size_t i = 0; i < count; i++)
        bytes_free(&texts[i]);
}

/* By the columns before the first whose parameter is NULL. */
static void append_tag(const struct around *around, const struct db_shape_tag *tag, bool rows,
                       struct bytes *out)
{
    size_t count = tag->watch->narrow_count;
    bool choice = false;
    for (size_t i = 0; i < count; i++) {
        if (!tag->values[i].optional)
            continue;
        bytes_append_format(out, "%s$%u IS NULL THEN ", choice ? " WHEN " : "CASE WHEN ",
                            tag->values[i].parameter);
        append_narrowed(around, tag, i, rows, out);
        choice = true;
    }
    bytes_append_text(out, choice ? " ELSE " : "");
    append_narrowed(around, tag, count, rows, out);
    bytes_append_text(out, choice ? " END" : "");
}

/* ", <expression>" of each tag whose values the rows have, or of each other. */
static void append_tags(const struct around *around, bool by_rows, bool rows, struct bytes *out)
{
    for (size_t i = 0; i < around->count; i++) {
        if (comes_by_rows(&around->tags[i]) != by_rows)
            continue;
        if (rows && shape_values_are_told(&around->tags[i])) {
            shape_values_append(around->tags, i, out);
            continue;
        }
        bytes_append_text(out, ", ");
        append_tag(around, &around->tags[i], rows, out);
    }
}

void db_shape_append_tags(enum db_shape shape, const struct db_shape_tag *tags, size_t count,
                          struct bytes *out)
{
    const struct around around = {.shape = shape, .tags = tags, .count = count};
    append_tags(&around, false, true, out);
    append_tags(&around, true, true, out);
}

/* One row over all of the statement's. */
static void write_gathered(struct around *around)
{
    bytes_append_format(&around->before, "SELECT %s, concat_ws(" NEWLINE,
                        shape_rows[around->shape].body);
    db_shape_append_tags(around->shape, around->tags, around->count, &around->before);
    bytes_append_text(&around->before, ") FROM (");
    bytes_append_format(&around->after, "\n) AS %s", shape_rows[around->shape].row);
}

/* The statement's row, or one without a body: its parameters have tags all the same. */
static void write_single(struct around *around)
{
    struct bytes *out = &around->before;
    bytes_append_text(out, "SELECT larder_found.larder_body, concat_ws(" NEWLINE);
    append_tags(around, false, false, out);
    for (size_t i = 0; i < around->count; i++) {
        if (!comes_by_rows(&around->tags[i]))
            continue;
        bytes_append_text(out, ", CASE WHEN larder_found.larder_body IS NULL THEN ");
        watch_append_tag_literal(around->tags[i].watch, out);
        bytes_append_text(out, " END");
    }
    bytes_append_format(out,
                        ", larder_found.larder_tags) FROM (SELECT 1) AS larder_one"
                        " LEFT JOIN (SELECT %s AS larder_body, concat_ws(" NEWLINE,
                        shape_rows[around->shape].body);
    bytes_append_text(out, ", NULL");
    append_tags(around, true, false, out);
    bytes_append_text(out, ") AS larder_tags FROM (");
    bytes_append_format(&around->after, "\n) AS %s%s) AS larder_found ON true",
                        shape_rows[around->shape].row, shape_rows[around->shape].limit);
}

static void write_bare(struct around *around)
{
    const struct shape_row *row = &shape_rows[around->shape];
    bytes_append_format(&around->before, "SELECT %s FROM (", row->body);
    bytes_append_format(&around->after, "\n) AS %s%s", row->row, row->limit ? row->limit : "");
}

static size_t characters(struct span text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += (text.data[i] & 0xc0) != 0x80;
    return count;
}

const char *db_shape_wrap(enum db_shape shape, struct span statement,
                          const struct db_shape_tag *tags, size_t count, struct arena *arena,
                          size_t *ret_offset)
{
    struct around around = {.shape = shape, .tags = tags, .count = count};
    if (!count)
        write_bare(&around);
    else if (shape_rows[shape].limit)
        write_single(&around);
    else
        write_gathered(&around);
    const char *sql = NULL;
    if (!around.before.failed && !around.after.failed)
        sql = arena_format(arena, "%s%.*s%s", bytes_text(&around.before), SPAN_PRINTF(statement),
                           bytes_text(&around.after));
    *ret_offset = characters(bytes_span(&around.before));
    bytes_free(&around.before);
    bytes_free(&around.after);
    return sql;
}
