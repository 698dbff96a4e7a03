#include "db/look.h"

#include <inttypes.h>

#include "base/clock.h"

/* A peer that is stopped in the midst of a batch loses its locks after this long. */
#define IDLE_LIMIT "5s"

bool look_rows(struct db_connection *connection, const char *sql, int64_t timeout,
               PGresult **ret_rows, struct db_failure *failure)
{
    if (!PQsendQuery(connection->handle, sql))
        return db_lost(connection, failure);
    return db_round_trip(connection, clock_monotonic() + timeout + DB_GRACE, ret_rows, failure);
}

bool look_command(struct db_connection *connection, const char *sql, int64_t timeout,
                  struct db_failure *failure)
{
    PGresult *rows = NULL;
    if (!look_rows(connection, sql, timeout, &rows, failure))
        return false;
    PQclear(rows);
    return true;
}

void look_roll_back(struct db_connection *connection, int64_t timeout)
{
    if (!connection->dead && PQtransactionStatus(connection->handle) != PQTRANS_IDLE &&
        !look_command(connection, "ROLLBACK", timeout, NULL))
        connection->dead = true;
}

void look_lost(struct db_connection *connection, const struct db_failure *failure)
{
    if (failure->kind == DB_FAILURE_UNAVAILABLE)
        connection->dead = true;
}

/*
 * What every look is made with. Index scans, unlike others, stop at the limit and mark dead entries
 * for those that come after them.
 */
static const char *const ways[] = {
    "synchronous_commit = off",
    "enable_seqscan = off",
    "enable_bitmapscan = off",
    "jit = off",
    "plan_cache_mode = force_generic_plan",
    "work_mem = '32MB'",
    "idle_in_transaction_session_timeout = '" IDLE_LIMIT "'",
};

static void ways_append(struct bytes *sql, const char *set)
{
    for (size_t i = 0; i < ARRAY_COUNT(ways); i++)
        bytes_append_format(sql, "%s %s; ", set, ways[i]);
}

/* A session of our own is told once; it takes a third of an idle look otherwise. */
static bool ways_set(struct db_connection *connection, int64_t timeout, struct db_failure *failure)
{
    struct bytes sql CLEANUP(bytes_free) = BYTES_EMPTY;
    if (connection->ways_set || connection->settings->transaction_pooling)
        return true;
    ways_append(&sql, "SET");
    if (sql.failed)
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    connection->ways_set = look_command(connection, sql.data, timeout, failure);
    return connection->ways_set;
}

bool look_text(struct db_connection *connection, const char *query, int64_t timeout,
               struct bytes *sql, struct db_failure *failure)
{
    if (!ways_set(connection, timeout, failure))
        return false;
    bytes_append_text(sql, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; ");
    if (!connection->ways_set)
        ways_append(sql, "SET LOCAL");
    if (connection->session_timeout != timeout)
        bytes_append_format(sql, "SET LOCAL statement_timeout = %" PRId64 "; ",
                            db_milliseconds(timeout));
    bytes_append_text(sql, query);
    return sql->failed ? db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory") : true;
}

bool look_failed(struct db_connection *connection, const struct db_failure *local, int64_t timeout,
                 struct db_failure *failure)
{
    look_roll_back(connection, timeout);
    look_lost(connection, local);
    if (failure)
        *failure = *local;
    return false;
}

bool look_begin(struct db_connection *connection, const char *query, int64_t timeout,
                PGresult **ret_rows, struct db_failure *failure)
{
    struct bytes sql CLEANUP(bytes_free) = BYTES_EMPTY;
    struct db_failure local = {0};
    if (!look_text(connection, query, timeout, &sql, failure))
        return false;
    return look_rows(connection, sql.data, timeout, ret_rows, &local) ||
           look_failed(connection, &local, timeout, failure);
}
