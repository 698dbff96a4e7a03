#include "db/functions.h"

#include <stdlib.h>
#include <string.h>

#include "db/tables.h"

/* What is said of functions: name, built in, volatility, how it is called, whether it is open. */
static const char functions_sql[] =
    "SELECT CASE WHEN n.nspname = 'pg_catalog' THEN p.proname::text"
    " ELSE pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(p.proname) END,"
    " n.nspname = 'pg_catalog' AND p.oid < 16384, p.provolatile, p.pronargs,"
    " p.prokind = 'a' OR pg_catalog.to_jsonb(p.*) OPERATOR(pg_catalog.->>) 'prosqlbody' IS NOT NULL"
    " FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace"
    " WHERE p.oid = ANY ($1::oid[]) AND p.provolatile <> 'i' ORDER BY 1";

struct judging {
    struct arena *arena;
    struct bytes *hazards;
    bool hidden;
};

void hazard_add(struct bytes *notes, enum hazard kind, const char *name)
{
    const struct hazard_note *all = (const void *)notes->data;
    const struct hazard_note note = {.kind = kind, .name = name};
    for (size_t i = 0; i < notes->size / sizeof note; i++)
        if (all[i].kind == kind && strcmp(all[i].name, name) == 0)
            return;
    bytes_append(notes, &note, sizeof note);
}

/* Built-in functions whose answer is not in their arguments alone; the first that fits. */
static const struct builtin_row {
    const char *name; /* with a final '*': all that begin so */
    int arguments;    /* -1: any number */
    enum hazard hazard;
} builtin_rows[] = {
    {"now", -1, HAZARD_CLOCK},
    {"transaction_timestamp", -1, HAZARD_CLOCK},
    {"statement_timestamp", -1, HAZARD_CLOCK},
    {"clock_timestamp", -1, HAZARD_CLOCK},
    {"timeofday", -1, HAZARD_CLOCK},
    {"age", 1, HAZARD_CLOCK},
    {"pg_current_snapshot", -1, HAZARD_RANDOM},
    {"pg_current_xact_id*", -1, HAZARD_RANDOM},
    {"txid_current*", -1, HAZARD_RANDOM},
    {"current_setting", -1, HAZARD_SETTING},
    {"current_schemas", -1, HAZARD_SETTING},
    {"inet_client_*", -1, HAZARD_SETTING},
    {"pg_backend_pid", -1, HAZARD_SETTING},
    {"query_to_xml*", -1, HAZARD_FUNCTION},
    {"table_to_xml*", -1, HAZARD_FUNCTION},
    {"schema_to_xml*", -1, HAZARD_FUNCTION},
    {"database_to_xml*", -1, HAZARD_FUNCTION},
    {"cursor_to_xml*", -1, HAZARD_FUNCTION},
    {"ts_stat", -1, HAZARD_FUNCTION},
    {"ts_rewrite", 2, HAZARD_FUNCTION},
    {"lo_*", -1, HAZARD_FUNCTION},
    {"loread", -1, HAZARD_FUNCTION},
    {"pg_read_*", -1, HAZARD_FUNCTION},
    {"pg_ls_*", -1, HAZARD_FUNCTION},
    {"pg_relation_size", -1, HAZARD_CATALOG},
    {"pg_table_size", -1, HAZARD_CATALOG},
    {"pg_total_relation_size", -1, HAZARD_CATALOG},
    {"pg_indexes_size", -1, HAZARD_CATALOG},
    {"pg_database_size", -1, HAZARD_CATALOG},
    {"pg_get_*", -1, HAZARD_CATALOG},
    {"pg_stat_*", -1, HAZARD_CATALOG},
    {"has_*", -1, HAZARD_CATALOG},
    {"obj_description", -1, HAZARD_CATALOG},
    {"col_description", -1, HAZARD_CATALOG},
    {"currval", -1, HAZARD_CATALOG},
    {"lastval", -1, HAZARD_CATALOG},
    {"pg_postmaster_start_time", -1, HAZARD_CATALOG},
    {"pg_conf_load_time", -1, HAZARD_CATALOG},
};

static bool builtin_fits(const struct builtin_row *row, struct span name, long arguments)
{
    size_t length = strlen(row->name) - 1;
    if (row->arguments >= 0 && row->arguments != arguments)
        return false;
    if (row->name[length] != '*')
        return span_is(name, row->name);
    return name.size >= length && memcmp(name.data, row->name, length) == 0;
}

static void builtin_judge(struct judging *judging, struct span bare, const char *name,
                          long arguments, bool is_volatile)
{
    for (size_t i = 0; i < ARRAY_COUNT(builtin_rows); i++) {
        if (!builtin_fits(&builtin_rows[i], bare, arguments))
            continue;
        judging->hidden |= builtin_rows[i].hazard == HAZARD_FUNCTION;
        hazard_add(judging->hazards, builtin_rows[i].hazard, name);
        return;
    }
    if (is_volatile)
        hazard_add(judging->hazards, HAZARD_RANDOM, name);
}

static bool is_true(const struct db_result *result, int row, int column)
{
    return span_is(db_result_value(result, row, column), "t");
}

static bool functions_take(struct judging *judging, const struct db_result *result)
{
    for (int row = 0; row < db_result_rows(result); row++) {
        const char *name =
            arena_format(judging->arena, "%s()", db_result_value(result, row, 0).data);
        if (!name)
            return false;
        if (is_true(result, row, 1)) {
            builtin_judge(judging, db_result_value(result, row, 0), name,
                          strtol(db_result_value(result, row, 3).data, NULL, 10),
                          span_is(db_result_value(result, row, 2), "v"));
        } else if (!is_true(result, row, 4)) {
            judging->hidden = true;
            hazard_add(judging->hazards, HAZARD_FUNCTION, name);
        }
    }
    return true;
}

bool functions_judge(struct db_connection *connection, const char *oids, struct arena *arena,
                     struct bytes *hazards, bool *ret_hidden, struct db_failure *failure)
{
    struct judging judging = {.arena = arena, .hazards = hazards};
    struct db_result *result = NULL;
    if (!db_ask(connection, functions_sql, &oids, 1, TABLES_TIMEOUT, &result, failure))
        return false;
    bool taken = functions_take(&judging, result);
    db_result_free(result);
    if (!taken)
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    *ret_hidden = judging.hidden;
    return true;
}
