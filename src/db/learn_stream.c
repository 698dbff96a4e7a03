#include "db/learn_stream.h"

#include <inttypes.h>
#include <stdio.h>

/* The type's name as it is understood whatever the search_path is. */
static const char type_sql[] =
    "SELECT pg_catalog.quote_ident(n.nspname)||'.'||pg_catalog.quote_ident(t.typname)"
    " FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace"
    " WHERE t.oid = $1::pg_catalog.oid";

/*
 * No text that row_to_json makes has these, so its lines come as they are, but for what a column of
 * the type json has of line breaks: then COPY puts the line in quotes.
 */
#define OBJECT_OPTIONS "(FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02')"

struct asking {
    struct db_connection *connection;
    int64_t timeout;
    struct arena *arena;
    struct db_failure *failure;
};

static bool no_memory(const struct asking *asking)
{
    return db_failure_set(asking->failure, DB_FAILURE_MEMORY, "out of memory");
}

/*
 * How the statement reads the value of $n. An equals sign stands before it in the setting, so that
 * NULL, which no setting can be, is told from an empty text.
 */
static bool value_write(const struct asking *asking, unsigned n, uint32_t type,
                        const char **ret_text)
{
    char oid[16];
    const char *const values[] = {oid};
    struct db_result *result;
    snprintf(oid, sizeof oid, "%" PRIu32, type);
    if (!db_execute(asking->connection, type_sql, values, 1, asking->timeout, &result,
                    asking->failure))
        return false;
    struct span name = SPAN_LITERAL("pg_catalog.text");
    if (db_result_rows(result) == 1)
        name = db_result_value(result, 0, 0);
    *ret_text = arena_format(asking->arena,
                             "(pg_catalog.substr(nullif(pg_catalog.current_setting("
                             "'larder.p%u'), ''), 2)::%.*s)",
                             n, SPAN_PRINTF(name));
    db_result_free(result);
    return *ret_text || no_memory(asking);
}

static const char *settings_make(unsigned count, struct arena *arena)
{
    struct bytes sql CLEANUP(bytes_free) = BYTES_EMPTY;
    bytes_append_text(&sql, "SELECT");
    for (unsigned n = 1; n <= count; n++)
        bytes_append_format(&sql,
                            "%s pg_catalog.set_config('larder.p%u',"
                            " pg_catalog.concat('=' || $%u::pg_catalog.text), true)",
                            n > 1 ? "," : "", n, n);
    return sql.failed ? NULL : arena_text(arena, bytes_span(&sql));
}

bool learn_stream_has_objects(const struct route_stream *stream)
{
    for (size_t i = 0; i < stream->format_count; i++)
        if (stream->formats[i] != FORMAT_CSV)
            return true;
    return false;
}

const char *learn_stream_probe(const struct route *route, struct arena *arena, size_t *ret_offset)
{
    static const char before[] = "SELECT FROM (";
    *ret_offset = sizeof before - 1;
    return arena_format(arena, "%s%.*s\n) AS larder_row", before,
                        SPAN_PRINTF(route->statement.sql));
}

/*
 * The statement as a table of the columns that it has by itself: what stands in the place of a
 * value would give its own name to a column that is called by none.
 */
static void append_rows(const struct statement *statement, const char *const *values,
                        const struct db_description *bare, struct bytes *out)
{
    bytes_append_text(out, "(");
    statement_write(statement, values, out);
    bytes_append_text(out, "\n) AS larder_row (");
    for (int i = 0; i < bare->column_count; i++) {
        bytes_append_text(out, i ? ", " : "");
        watch_append_identifier(bare->column_names[i], out);
    }
    bytes_append_text(out, ")");
}

static bool texts_make(const struct asking *asking, const struct statement *statement,
                       const char *const *values, const struct db_description *bare,
                       struct learned_stream *ret_stream)
{
    struct bytes rows CLEANUP(bytes_free) = BYTES_EMPTY;
    unsigned count = statement->parameter_count;
    append_rows(statement, values, bare, &rows);
    struct learned_stream stream = {
        .table = arena_format(asking->arena,
                              "COPY (SELECT larder_row.* FROM %s) TO STDOUT (FORMAT csv, HEADER)",
                              bytes_text(&rows)),
        .objects = arena_format(asking->arena,
                                "COPY (SELECT pg_catalog.row_to_json(larder_row.*) FROM %s)"
                                " TO STDOUT " OBJECT_OPTIONS,
                                bytes_text(&rows)),
        .settings = count ? settings_make(count, asking->arena) : NULL,
    };
    if (rows.failed || !stream.table || !stream.objects || (count && !stream.settings))
        return no_memory(asking);
    *ret_stream = stream;
    return true;
}

bool learn_stream(struct db_connection *connection, const struct route *route,
                  const uint32_t *types, const struct db_description *bare, int64_t timeout,
                  struct arena *arena, struct learned_stream *ret_stream,
                  struct db_failure *failure)
{
    const struct asking asking = {
        .connection = connection, .timeout = timeout, .arena = arena, .failure = failure};
    unsigned count = route->statement.parameter_count;
    const char **values = arena_array(arena, count, sizeof *values);
    if (!values)
        return no_memory(&asking);
    for (unsigned i = 0; i < count; i++)
        if (!value_write(&asking, i + 1, types[i], &values[i]))
            return false;
    return texts_make(&asking, &route->statement, values, bare, ret_stream);
}
