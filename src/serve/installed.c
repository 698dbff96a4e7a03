#include "serve/installed.h"

#include "base/log.h"

#define ASK_TIMEOUT (2 * INT64_C(1000000))
#define ASK_PAUSE INT64_C(1000000)

enum installed installed_jobs(const struct server *server)
{
    return (enum installed)atomic_load_explicit(&server->jobs_installed, memory_order_relaxed);
}

static const char question[] =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n "
    "ON n.oid = p.pronamespace WHERE n.nspname = 'larder' AND p.proname = 'jobs_begin')";

static bool wanted(const struct server *server)
{
    const struct route_table *table = live_table(server->live);
    bool later = route_table_files_jobs(table);
    for (size_t i = 0; !later && i < route_table_count(table); i++)
        later = route_table_at(table, i)->behind.present;
    return server->queue && later;
}

void installed_ask(struct server *server, struct db_connection *connection)
{
    struct db_failure failure;
    struct db_result *result;
    if (!server->queue ||
        !db_execute(connection, question, NULL, 0, ASK_TIMEOUT, &result, &failure))
        return;
    bool there = span_is(db_result_value(result, 0, 0), "t");
    db_result_free(result);
    enum installed before = installed_jobs(server), now = there ? INSTALLED_YES : INSTALLED_NO;
    atomic_store_explicit(&server->jobs_installed, now, memory_order_relaxed);
    if (now == INSTALLED_NO && before != now)
        log_event(
            LOG_WARNING, "queue",
            "no job can be filed: the database has no record of them (run \"larder install\")");
    else if (before == INSTALLED_NO && before != now)
        log_event(LOG_INFO, "queue", "jobs can be filed: the database has their record");
}

bool installed_due(struct server *server, int64_t now)
{
    if (!wanted(server) || installed_jobs(server) == INSTALLED_YES || now < server->installed_next)
        return false;
    server->installed_next = now + ASK_PAUSE;
    return true;
}
