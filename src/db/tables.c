#include "db/tables.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "db/watch.h"

#define SYSTEM "('pg_catalog', 'information_schema', 'pg_toast')"

/*
 * The tables among the relations with all their columns; with $2 those who inherit from them.
 * Partitions are their parent's matter, but for foreign ones. One row a column and root.
 */
static const char tables_sql[] =
    "WITH RECURSIVE root (oid, children) AS"
    " (SELECT * FROM ROWS FROM (pg_catalog.unnest($1::oid[]), pg_catalog.unnest($2::bool[]))),"
    " tree (root, oid) AS (SELECT oid, oid FROM root UNION"
    " SELECT t.root, i.inhrelid FROM tree AS t JOIN root AS r ON r.oid = t.root AND r.children"
    " JOIN pg_catalog.pg_inherits AS i ON i.inhparent = t.oid)"
    " SELECT c.oid, t.root, n.nspname, c.relname, c.relkind, n.nspname IN " SYSTEM ","
    " s.attnum, a.attname, a.atttypid, pg_catalog.format_type(a.atttypid, NULL), y.typtype = 'e',"
    " coalesce(l.collisdeterministic, true)"
    " FROM tree AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.oid"
    " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0"
    " AND NOT a.attisdropped"
    " LEFT JOIN pg_catalog.pg_attribute AS s ON s.attrelid = t.root AND s.attname = a.attname"
    " AND NOT s.attisdropped"
    " LEFT JOIN pg_catalog.pg_type AS y ON y.oid = a.atttypid"
    " LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = a.attcollation"
    " WHERE (c.relkind IN ('r', 'p', 'm', 'f', 'S') OR n.nspname IN " SYSTEM ")"
    " AND (t.root = c.oid OR NOT c.relispartition OR c.relkind = 'f')"
    " ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\", c.oid, a.attname COLLATE \"C\","
    " t.root <> c.oid";

enum table_column {
    TABLE_OID,
    TABLE_ROOT,
    TABLE_SCHEMA,
    TABLE_NAME,
    TABLE_KIND,
    TABLE_SYSTEM,
    TABLE_NUMBER,
    TABLE_COLUMN,
    TABLE_TYPE,
    TABLE_TYPE_NAME,
    TABLE_ENUM,
    TABLE_EXACT
};

/* Text in the arena; a failure shows in the tables' arrays, which are of the same arena. */
static const char *text_of(const struct db_result *result, int row, int column, struct arena *arena)
{
    return arena_text(arena, db_result_value(result, row, column));
}

static uint32_t number_of(const struct db_result *result, int row, int column)
{
    struct span value = db_result_value(result, row, column);
    return value.size ? (uint32_t)strtoul(value.data, NULL, 10) : 0;
}

static bool is_true(const struct db_result *result, int row, int column)
{
    return span_is(db_result_value(result, row, column), "t");
}

/* Rows of one table stand together, and in them those of one column. */
static int table_end(const struct db_result *result, int row)
{
    uint32_t oid = number_of(result, row, TABLE_OID);
    while (row < db_result_rows(result) && number_of(result, row, TABLE_OID) == oid)
        row++;
    return row;
}

static bool same_column(const struct db_result *result, int row, const struct read_column *column)
{
    return span_is(db_result_value(result, row, TABLE_COLUMN), column->name);
}

static bool column_make(const struct db_result *result, int row, struct arena *arena,
                        struct read_column *ret_column)
{
    *ret_column = (struct read_column){
        .name = text_of(result, row, TABLE_COLUMN, arena),
        .type_name = text_of(result, row, TABLE_TYPE_NAME, arena),
        .type = number_of(result, row, TABLE_TYPE),
        .is_enum = is_true(result, row, TABLE_ENUM),
        .exact = is_true(result, row, TABLE_EXACT),
    };
    return ret_column->name && ret_column->type_name;
}

static bool columns_make(const struct tables_question *question, const struct db_result *result,
                         int row, int end, struct arena *arena, struct read_table *table)
{
    table->columns = arena_array(arena, (size_t)(end - row), sizeof *table->columns);
    if (!table->columns)
        return false;
    for (; row < end && db_result_value(result, row, TABLE_COLUMN).data; row++) {
        struct read_column *column = table->columns + table->column_count;
        if (!table->column_count || !same_column(result, row, column - 1)) {
            if (!column_make(result, row, arena, column))
                return false;
            table->column_count++;
        } else {
            column--;
        }
        long number = (long)number_of(result, row, TABLE_NUMBER);
        column->read |= number && question->is_read(question->reader,
                                                    number_of(result, row, TABLE_ROOT), number);
    }
    return true;
}

static bool table_make(const struct tables_question *question, const struct db_result *result,
                       int row, int end, struct arena *arena, struct read_table *ret_table)
{
    *ret_table = (struct read_table){
        .oid = number_of(result, row, TABLE_OID),
        .root = number_of(result, row, TABLE_ROOT),
        .schema = text_of(result, row, TABLE_SCHEMA, arena),
        .name = text_of(result, row, TABLE_NAME, arena),
        .kind = db_result_value(result, row, TABLE_KIND).data[0],
        .system = is_true(result, row, TABLE_SYSTEM),
    };
    return ret_table->schema && ret_table->name &&
           columns_make(question, result, row, end, arena, ret_table);
}

static bool tables_make(const struct tables_question *question, const struct db_result *result,
                        struct arena *arena, struct read_table **ret_tables, size_t *ret_count)
{
    size_t count = 0;
    for (int row = 0; row < db_result_rows(result); row = table_end(result, row))
        count++;
    struct read_table *tables = arena_array(arena, count, sizeof *tables);
    if (!tables)
        return false;
    size_t at = 0;
    for (int row = 0, end; row < db_result_rows(result); row = end) {
        end = table_end(result, row);
        if (!table_make(question, result, row, end, arena, &tables[at++]))
            return false;
    }
    *ret_tables = tables;
    *ret_count = count;
    return true;
}

bool tables_ask(struct db_connection *connection, const struct tables_question *question,
                struct arena *arena, struct read_table **ret_tables, size_t *ret_count,
                struct db_failure *failure)
{
    const char *const values[] = {question->roots, question->children};
    struct db_result *result = NULL;
    if (!db_ask(connection, tables_sql, values, 2, TABLES_TIMEOUT, &result, failure))
        return false;
    bool made = tables_make(question, result, arena, ret_tables, ret_count);
    db_result_free(result);
    return made ? true : db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
}

static bool always_read(const void *reader, uint32_t root, long number)
{
    (void)reader;
    (void)root;
    (void)number;
    return true;
}

bool tables_find(struct db_connection *connection, const char *name, struct arena *arena,
                 struct read_table **ret_table, struct db_failure *failure)
{
    static const char sql[] = "SELECT pg_catalog.format('{%s}', pg_catalog.to_regclass($1)::oid)";
    struct db_result *result = NULL;
    struct read_table *tables = NULL;
    size_t count = 0;
    if (!db_ask(connection, sql, &name, 1, TABLES_TIMEOUT, &result, failure))
        return false;
    const char *roots = text_of(result, 0, 0, arena);
    db_result_free(result);
    const struct tables_question question = {
        .roots = roots, .children = "{f}", .is_read = always_read};
    if (!roots || !tables_ask(connection, &question, arena, &tables, &count, failure))
        return roots ? false : db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    *ret_table = count ? tables : NULL;
    return true;
}

const char *tables_name(const struct read_table *table, struct arena *arena)
{
    struct bytes name CLEANUP(bytes_free) = BYTES_EMPTY;
    watch_append_identifier(table->schema, &name);
    bytes_append_byte(&name, '.');
    watch_append_identifier(table->name, &name);
    return name.failed ? NULL : arena_text(arena, bytes_span(&name));
}
