#include "db/rights.h"

#include "route/statement_kind.h"

#define PLAN_TIMEOUT (5 * INT64_C(1000000))

/* Keeps the explained statement's name from being the route's own. */
#define EXPLAINED UINT64_C(0x6578706c61696e)

static const char *refusal(struct db_connection *connection, const struct statement *statement,
                           uint64_t id, const uint32_t *types, struct arena *arena)
{
    const char *const *values = arena_array(arena, statement->parameter_count, sizeof *values);
    struct db_statement explained = {
        .id = id ^ EXPLAINED,
        .sql = arena_format(arena, "EXPLAIN %.*s", SPAN_PRINTF(statement->sql)),
        .types = types,
        .values = values,
        .parameter_count = (int)statement->parameter_count,
        .timeout = PLAN_TIMEOUT};
    struct db_result *plan;
    struct db_failure failure = {0};
    if (!values || !explained.sql || !statement_is_relation(statement->sql))
        return NULL;
    if (db_run(connection, &explained, &plan, &failure)) {
        db_result_free(plan);
        return NULL;
    }
    return failure.kind == DB_FAILURE_FORBIDDEN ? arena_text(arena, span_of(failure.message))
                                                : NULL;
}

const char *rights_refusal(struct db_connection *connection, const struct route *route,
                           const struct learned *learned, struct arena *arena)
{
    const char *found = NULL;
    if (route->auth.rls)
        return NULL;
    for (size_t i = 0; i < route->before_count; i++)
        if (!statement_is_relation(route->before[i].sql))
            return NULL;
    for (size_t i = 0; i < route->before_count && !found; i++)
        found = refusal(connection, &route->before[i], learned->write.before[i].id,
                        learned->write.before[i].types, arena);
    return found ? found
                 : refusal(connection, &route->statement, learned->id, learned->types, arena);
}

static const char inherited_sql[] =
    "SELECT pg_catalog.quote_ident(current_user), pg_catalog.string_agg("
    "m.roleid::pg_catalog.regrole::text, ', ' ORDER BY m.roleid::pg_catalog.regrole::text)"
    " FROM pg_catalog.pg_auth_members AS m JOIN pg_catalog.pg_roles AS r ON r.oid = m.member"
    " WHERE r.rolname = current_user AND NOT r.rolsuper"
    " AND m.roleid >= 16384" /* those before are PostgreSQL's own, as pg_monitor */
    " AND pg_catalog.pg_has_role(m.roleid, 'USAGE') HAVING pg_catalog.count(*) > 0";

void rights_inherited(struct db_connection *connection, struct arena *arena, const char **ret_role,
                      const char **ret_roles)
{
    struct db_result *result;
    struct db_failure failure;
    *ret_role = *ret_roles = NULL;
    if (!db_execute(connection, inherited_sql, NULL, 0, PLAN_TIMEOUT, &result, &failure))
        return;
    if (db_result_rows(result) == 1) {
        *ret_role = arena_text(arena, db_result_value(result, 0, 0));
        *ret_roles = *ret_role ? arena_text(arena, db_result_value(result, 0, 1)) : NULL;
    }
    db_result_free(result);
}
