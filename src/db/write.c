#include "db/write.h"

#include "base/clock.h"
#include "db/pool_use.h"
#include "db/write_run.h"

static bool run_once(struct db_pool *pool, const struct db_write *write, int64_t until,
                     enum db_wanted wanted, struct db_written *ret_written, bool *ret_lost,
                     struct db_failure *failure)
{
    struct db_connection *connection;
    *ret_lost = false;
    if (!db_pool_take(pool, wanted, &connection, failure))
        return false;
    bool done = db_write_run(connection, write, until - clock_monotonic(), ret_written, failure);
    *ret_lost = !done && !db_usable(connection) && failure->kind == DB_FAILURE_UNAVAILABLE;
    if (!done && failure->kind == DB_FAILURE_STALE)
        db_forget_prepared(connection);
    db_pool_give(pool, connection);
    return done;
}

bool db_pool_write(struct db_pool *pool, const struct db_write *write,
                   struct db_written *ret_written, struct db_failure *failure)
{
    int64_t until = clock_monotonic() + write->timeout;
    struct db_failure local = {0};
    bool lost;
    bool done = run_once(pool, write, until, DB_WANTED_ANY, ret_written, &lost, &local);
    if (!done && local.kind == DB_FAILURE_STALE)
        done = run_once(pool, write, until, DB_WANTED_ANY, ret_written, &lost, &local);
    if (lost && clock_monotonic() < until)
        done = run_once(pool, write, until, DB_WANTED_FRESH, ret_written, &lost, &local);
    if (!done && local.kind == DB_FAILURE_STALE)
        local.kind = DB_FAILURE_STATEMENT; /* preparing anew did not mend it */
    if (!done && failure)
        *failure = local;
    return done;
}

void db_written_free(struct db_written *written)
{
    db_result_free(written->result);
    db_result_free(written->record);
    db_result_free(written->tags);
    *written = (struct db_written){0};
}

void db_pool_struck(struct db_pool *pool, const uint64_t *transactions, size_t count)
{
    (void)pool;
    (void)transactions;
    (void)count;
}
