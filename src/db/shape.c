#include "db/shape.h"

#include <stdio.h>

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

static void append_table_literal(const struct watch *watch, struct bytes *out)
{
    struct bytes tag CLEANUP(bytes_free) = BYTES_EMPTY;
    watch_append_tag(watch, &tag);
    watch_append_literal(bytes_text(&tag), out);
    out->failed = out->failed || tag.failed;
}

/* Where the rows' value stands in SQL. */
static void append_column(const struct around *around, const struct db_shape_tag *tag,
                          struct bytes *out)
{
    bool single = around->shape == DB_SHAPE_VALUE || around->shape == DB_SHAPE_JSON;
    bytes_append_text(out, "larder_row.");
    watch_append_identifier(single ? "larder_value" : tag->column, out);
}

static void append_parameter_tag(const struct db_shape_tag *tag, struct bytes *out)
{
    char value[16];
    snprintf(value, sizeof value, "$%u", tag->parameter);
    bytes_append_text(out, ", ");
    if (tag->optional) {
        bytes_append_format(out, "CASE WHEN %s IS NULL THEN ", value);
        append_table_literal(tag->watch, out);
        bytes_append_text(out, " ELSE ");
    }
    watch_append_value_sql(tag->watch, value, out);
    if (tag->optional)
        bytes_append_text(out, " END");
}

/* The tag of one row's value. */
static void append_row_tag(const struct around *around, const struct db_shape_tag *tag,
                           struct bytes *out)
{
    struct bytes column CLEANUP(bytes_free) = BYTES_EMPTY;
    append_column(around, tag, &column);
    watch_append_value_sql(tag->watch, bytes_text(&column), out);
    out->failed = out->failed || column.failed;
}

/* The tags of all rows' values. */
static void append_rows_tags(const struct around *around, const struct db_shape_tag *tag,
                             struct bytes *out)
{
    bytes_append_text(out, ", CASE WHEN count(*) = 0 OR count(DISTINCT ");
    append_column(around, tag, out);
    bytes_append_format(out, ") > %u THEN ", tag->most);
    append_table_literal(tag->watch, out);
    bytes_append_text(out, " ELSE string_agg(DISTINCT ");
    append_row_tag(around, tag, out);
    bytes_append_text(out, ", " NEWLINE ") END");
}

static void append_parameter_tags(const struct around *around, struct bytes *out)
{
    for (size_t i = 0; i < around->count; i++)
        if (around->tags[i].parameter)
            append_parameter_tag(&around->tags[i], out);
}

void db_shape_append_tags(enum db_shape shape, const struct db_shape_tag *tags, size_t count,
                          struct bytes *out)
{
    const struct around around = {.shape = shape, .tags = tags, .count = count};
    append_parameter_tags(&around, out);
    for (size_t i = 0; i < count; i++)
        if (!tags[i].parameter)
            append_rows_tags(&around, &tags[i], out);
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
    append_parameter_tags(around, out);
    for (size_t i = 0; i < around->count; i++) {
        if (around->tags[i].parameter)
            continue;
        bytes_append_text(out, ", CASE WHEN larder_found.larder_body IS NULL THEN ");
        append_table_literal(around->tags[i].watch, out);
        bytes_append_text(out, " END");
    }
    bytes_append_format(out,
                        ", larder_found.larder_tags) FROM (SELECT 1) AS larder_one"
                        " LEFT JOIN (SELECT %s AS larder_body, concat_ws(" NEWLINE,
                        shape_rows[around->shape].body);
    bytes_append_text(out, ", NULL");
    for (size_t i = 0; i < around->count; i++)
        if (!around->tags[i].parameter) {
            bytes_append_text(out, ", ");
            append_row_tag(around, &around->tags[i], out);
        }
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
