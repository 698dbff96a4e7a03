#include "db/module.h"

#define TIMEOUT (60 * INT64_C(1000000))

/*
 * Its triggers run with every writer's rights, and none but a superuser makes functions in C
 * (13, in every version): so theirs of the same names are never called. Without the right to use a
 * schema its names can't be resolved, so they are compared.
 */
static const char there_sql[] =
    "WITH own AS ("
    " SELECT p.oid, p.pronamespace, p.proname, p.prolang = 13 AS in_c,"
    "  CASE WHEN p.proname IN ('take', 'asleep') THEN coalesce($1::name, current_user)"
    "   ELSE current_user END AS role"
    " FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace"
    " WHERE n.nspname = 'larder_ring' AND"
    " concat(p.proname, '(', pg_catalog.oidvectortypes(p.proargtypes), ')') IN"
    " ('strike()', 'ready()', 'take(integer)', 'asleep(boolean)')), "
    "denied AS ("
    " SELECT format('%s may not call the module: GRANT USAGE ON SCHEMA larder_ring TO %I;"
    " GRANT EXECUTE ON FUNCTION %s TO %I', o.role, o.role,"
    "  string_agg('larder_ring.' || o.proname, ', ' ORDER BY o.proname), o.role) AS text"
    " FROM own AS o JOIN pg_catalog.pg_roles AS r ON r.rolname = o.role"
    " WHERE NOT (has_schema_privilege(r.oid, o.pronamespace, 'USAGE')"
    "  AND has_function_privilege(r.oid, o.oid, 'EXECUTE'))"
    " GROUP BY o.role) "
    "SELECT count(*) > 0, count(*) FILTER (WHERE o.in_c) = 4,"
    " (SELECT string_agg(d.text, '; ' ORDER BY d.text) FROM denied AS d),"
    " current_setting('max_prepared_transactions') <> '0' "
    "FROM own AS o";

enum {
    THERE_ANY,
    THERE_ALL,
    THERE_DENIED,
    THERE_PREPARED,
};

static const char savepoint[] = "SAVEPOINT larder_module";
static const char back[] = "ROLLBACK TO SAVEPOINT larder_module";

static void result_free(struct db_result **result)
{
    db_result_free(*result);
}

static bool memory(struct db_failure *failure)
{
    return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
}

static bool is_true(const struct db_result *result, int column)
{
    return span_is(db_result_value(result, 0, column), "t");
}

/* To call it loads the library, and what the system has no file of any more fails. */
static bool ready_ask(struct db_connection *connection, bool prepared, struct arena *arena,
                      struct module *module, struct db_failure *failure)
{
    struct db_result *result CLEANUP(result_free) = NULL;
    struct db_failure broken;
    if (!db_script(connection, savepoint, TIMEOUT, failure))
        return false;
    if (db_execute(connection, "SELECT larder_ring.ready()", NULL, 0, TIMEOUT, &result, &broken)) {
        module->state = is_true(result, 0) ? MODULE_READY
                        : prepared         ? MODULE_PREPARED
                                           : MODULE_UNLOADED;
        return true;
    }
    module->state = MODULE_BROKEN;
    module->reason = arena_text(arena, span_of(broken.message));
    return module->reason ? db_script(connection, back, TIMEOUT, failure) : memory(failure);
}

bool module_survey(struct db_connection *connection, const char *daemon, struct arena *arena,
                   struct module *ret_module, struct db_failure *failure)
{
    struct db_result *result CLEANUP(result_free) = NULL;
    struct module module = {.state = MODULE_ABSENT};
    if (!db_execute(connection, there_sql, &daemon, 1, TIMEOUT, &result, failure))
        return false;
    struct span denied = db_result_value(result, 0, THERE_DENIED);
    if (!is_true(result, THERE_ANY)) {
        *ret_module = module;
        return true;
    }
    if (!is_true(result, THERE_ALL)) {
        module.state = MODULE_FOREIGN;
    } else if (denied.data) {
        module.state = MODULE_DENIED;
        module.reason = arena_text(arena, denied);
        if (!module.reason)
            return memory(failure);
    } else if (!ready_ask(connection, is_true(result, THERE_PREPARED), arena, &module, failure)) {
        return false;
    }
    *ret_module = module;
    return true;
}

static const char use_sql[] =
    "SELECT bool_or(f.nspname = 'larder_ring' AND p.prolang = 13) FROM pg_catalog.pg_trigger AS t"
    " JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid"
    " JOIN pg_catalog.pg_namespace AS f ON f.oid = p.pronamespace "
    "WHERE f.nspname IN ('larder', 'larder_ring') AND t.tgname LIKE 'larder\\_%'"
    " AND t.tgtype & 1 = 1 AND t.tgparentid = 0 "
    "HAVING EXISTS (SELECT FROM pg_catalog.pg_proc AS s"
    " JOIN pg_catalog.pg_namespace AS n ON n.oid = s.pronamespace"
    " WHERE n.nspname = 'larder_ring' AND s.proname = 'strike' AND s.prolang = 13)";

enum module_use module_use(struct db_connection *connection)
{
    struct db_result *result CLEANUP(result_free) = NULL;
    struct db_failure failure;
    if (!db_execute(connection, use_sql, NULL, 0, TIMEOUT, &result, &failure) ||
        !db_result_rows(result) || !db_result_value(result, 0, 0).data)
        return MODULE_USE_NONE;
    return is_true(result, 0) ? MODULE_USED : MODULE_UNUSED;
}
