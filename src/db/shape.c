#include "db/shape.h"

#include <string.h>

/* A million rows in one array is fine: json_agg builds it in PostgreSQL, in one value up to 1 GB.
 */
static const struct shape_row {
    const char *before, *after;
} shape_rows[] = {
    [DB_SHAPE_ROWS] = {"SELECT coalesce(json_agg(row_to_json(larder_row.*)), '[]') FROM (",
                       "\n) AS larder_row"},
    [DB_SHAPE_ROW] = {"SELECT row_to_json(larder_row.*) FROM (", "\n) AS larder_row LIMIT 2"},
    [DB_SHAPE_VALUE] = {"SELECT coalesce(to_json(larder_value), 'null') FROM (",
                        "\n) AS larder_row (larder_value) LIMIT 2"},
    [DB_SHAPE_JSON] = {"SELECT coalesce(larder_value::text, 'null') FROM (",
                       "\n) AS larder_row (larder_value) LIMIT 2"},
    [DB_SHAPE_NONE] = {"SELECT count(*) FROM (", "\n) AS larder_row"},
};

const char *db_shape_wrap(enum db_shape shape, struct span statement, struct arena *arena,
                          size_t *ret_offset)
{
    const struct shape_row *row = &shape_rows[shape];
    const char *sql =
        arena_format(arena, "%s%.*s%s", row->before, SPAN_PRINTF(statement), row->after);
    *ret_offset = strlen(row->before);
    return sql;
}
