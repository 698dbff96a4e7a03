#include "db/watches.h"

#define WATCHES_TIMEOUT (5 * INT64_C(1000000))

/* Of a table that is no partition pg_partition_ancestors tells nothing. */
static const char tables_sql[] =
    "WITH named AS (SELECT pg_catalog.to_regclass($1) AS oid)"
    " SELECT DISTINCT n.nspname, c.relname FROM pg_catalog.pg_class AS c"
    " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
    " WHERE c.oid IN (SELECT oid FROM named UNION SELECT p.relid"
    " FROM named, LATERAL pg_catalog.pg_partition_ancestors(named.oid) AS p) ORDER BY 1, 2";

static const char installed_sql[] =
    "SELECT 1 FROM pg_catalog.pg_class AS c WHERE c.oid = pg_catalog.to_regclass('larder.watch')"
    " AND pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE')"
    " AND pg_catalog.has_table_privilege(c.oid, 'SELECT')";

static const char tags_sql[] = "SELECT w.tag FROM larder.watch AS w WHERE w.schema = $1"
                               " AND w.\"table\" = $2 ORDER BY 1";

bool watches_tables(struct db_connection *connection, const char *name, struct arena *arena,
                    struct table_name **ret_tables, size_t *ret_count, struct db_failure *failure)
{
    struct db_result *result = NULL;
    if (!db_execute(connection, tables_sql, &name, 1, WATCHES_TIMEOUT, &result, failure))
        return false;
    size_t count = (size_t)db_result_rows(result);
    struct table_name *tables = arena_array(arena, count, sizeof *tables);
    bool good = tables != NULL;
    for (size_t i = 0; good && i < count; i++) {
        tables[i].schema = arena_text(arena, db_result_value(result, (int)i, 0));
        tables[i].name = arena_text(arena, db_result_value(result, (int)i, 1));
        good = tables[i].schema && tables[i].name;
    }
    db_result_free(result);
    if (!good)
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    *ret_tables = tables;
    *ret_count = count;
    return true;
}

bool watches_tags(struct db_connection *connection, const struct table_name *table,
                  void (*visit)(void *context, struct span tag), void *context,
                  struct db_failure *failure)
{
    const char *const values[] = {table->schema, table->name};
    struct db_result *result = NULL;
    if (!db_execute(connection, installed_sql, NULL, 0, WATCHES_TIMEOUT, &result, failure))
        return false;
    bool installed = db_result_rows(result) > 0;
    db_result_free(result);
    if (!installed)
        return true;
    if (!db_execute(connection, tags_sql, values, 2, WATCHES_TIMEOUT, &result, failure))
        return false;
    for (int row = 0; row < db_result_rows(result); row++)
        visit(context, db_result_value(result, row, 0));
    db_result_free(result);
    return true;
}
