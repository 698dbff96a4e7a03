/*
 * Running statements: prepared in a session of our own, in one pipeline behind PgBouncer.
 */
#include "db/round.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define NAME_SIZE 32

/* What every session has prepared beside the routes' statements. Not the ROLLBACK: a statement may
 * take everything prepared away. */
#define BEGIN_NAME "larder_begin"

static uint64_t *prepared_slot(struct db_connection *connection, uint64_t id)
{
    size_t at = (size_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 32) % PREPARED_MAX;
    while (connection->prepared[at] && connection->prepared[at] != id)
        at = (at + 1) % PREPARED_MAX;
    return &connection->prepared[at];
}

void db_forget_prepared(struct db_connection *connection)
{
    connection->forget = true;
}

/* A command whose result nobody needs. */
static bool command_run(struct db_connection *connection, const char *sql, int64_t deadline,
                        struct db_failure *failure)
{
    PGresult *rows = NULL;
    if (!PQsendQuery(connection->handle, sql))
        return db_lost(connection, failure);
    if (!db_round_trip(connection, deadline, &rows, failure))
        return false;
    PQclear(rows);
    return true;
}

/* Leaves the pipeline and takes the connection out of a failed transaction. */
static void pipeline_end(struct db_connection *connection, int64_t deadline)
{
    if (connection->dead)
        return;
    PQexitPipelineMode(connection->handle);
    if (PQtransactionStatus(connection->handle) != PQTRANS_IDLE &&
        !command_run(connection, "ROLLBACK", deadline, NULL))
        connection->dead = true;
}

static bool pipeline_run(struct db_connection *connection, bool sent, int64_t deadline,
                         PGresult **ret_rows, struct db_failure *failure)
{
    if (!sent || !PQpipelineSync(connection->handle))
        return db_lost(connection, failure);
    bool done = db_round_trip(connection, deadline, ret_rows, failure);
    pipeline_end(connection, deadline);
    return done;
}

bool db_session_begin(struct db_connection *connection, int64_t timeout, int64_t deadline,
                      struct db_failure *failure)
{
    char limit[64];
    PGconn *handle = connection->handle;
    PGresult *rows = NULL;
    snprintf(limit, sizeof limit, "SET statement_timeout = %" PRId64, db_milliseconds(timeout));
    bool sent = PQenterPipelineMode(handle) &&
                PQsendQueryParams(handle, limit, 0, NULL, NULL, NULL, NULL, 0) &&
                PQsendPrepare(handle, BEGIN_NAME, "BEGIN READ ONLY", 0, NULL);
    if (!pipeline_run(connection, sent, deadline, &rows, failure))
        return false;
    PQclear(rows);
    connection->session_timeout = timeout;
    return true;
}

static bool forget_now(struct db_connection *connection, int64_t deadline,
                       struct db_failure *failure)
{
    if (!command_run(connection, "DEALLOCATE ALL", deadline, failure))
        return false;
    memset(connection->prepared, 0, sizeof connection->prepared);
    connection->prepared_count = 0;
    connection->forget = false;
    return db_session_begin(connection, connection->session_timeout, deadline, failure);
}

static void statement_name(uint64_t id, char name[static NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "larder_%016" PRIx64, id);
}

static bool prepare(struct db_connection *connection, const struct db_statement *statement,
                    int64_t deadline, struct db_failure *failure)
{
    uint64_t *slot = prepared_slot(connection, statement->id);
    if (*slot == statement->id)
        return true;
    char name[NAME_SIZE];
    statement_name(statement->id, name);
    PGresult *rows = NULL;
    if (!PQsendPrepare(connection->handle, name, statement->sql, statement->parameter_count,
                       statement->types))
        return db_lost(connection, failure);
    if (!db_round_trip(connection, deadline, &rows, failure))
        return false;
    PQclear(rows);
    *slot = statement->id;
    if (++connection->prepared_count > PREPARED_MAX / 2)
        connection->forget = true;
    return true;
}

static bool timeout_apply(struct db_connection *connection, int64_t timeout, int64_t deadline,
                          struct db_failure *failure)
{
    char sql[64];
    if (connection->session_timeout == timeout)
        return true;
    snprintf(sql, sizeof sql, "SET statement_timeout = %" PRId64, db_milliseconds(timeout));
    if (!command_run(connection, sql, deadline, failure))
        return false;
    connection->session_timeout = timeout;
    return true;
}

static bool send_prepared(PGconn *handle, const char *name, int count, const char *const *values)
{
    return PQsendQueryPrepared(handle, name, count, values, NULL, NULL, 0);
}

/*
 * A session of our own: everything is prepared, and the transaction is one round trip. It ends in a
 * ROLLBACK, so that not even a setting the statement made outlives it.
 */
static bool run_in_session(struct db_connection *connection, const struct db_statement *statement,
                           int64_t deadline, PGresult **ret_rows, struct db_failure *failure)
{
    char name[NAME_SIZE];
    PGconn *handle = connection->handle;
    if (connection->forget && !forget_now(connection, deadline, failure))
        return false;
    if (!timeout_apply(connection, statement->timeout, deadline, failure) ||
        !prepare(connection, statement, deadline, failure))
        return false;
    statement_name(statement->id, name);
    bool sent = PQenterPipelineMode(handle) && send_prepared(handle, BEGIN_NAME, 0, NULL) &&
                send_prepared(handle, name, statement->parameter_count, statement->values) &&
                PQsendQueryParams(handle, "ROLLBACK", 0, NULL, NULL, NULL, NULL, 0);
    return pipeline_run(connection, sent, deadline, ret_rows, failure);
}

/* Behind PgBouncer: the same in one pipeline, nothing prepared by name. */
static bool run_in_transaction(struct db_connection *connection,
                               const struct db_statement *statement, int64_t deadline,
                               PGresult **ret_rows, struct db_failure *failure)
{
    char limit[80];
    PGconn *handle = connection->handle;
    snprintf(limit, sizeof limit, "SET LOCAL statement_timeout = %" PRId64,
             db_milliseconds(statement->timeout));
    bool sent = PQenterPipelineMode(handle) &&
                PQsendQueryParams(handle, "BEGIN READ ONLY", 0, NULL, NULL, NULL, NULL, 0) &&
                PQsendQueryParams(handle, limit, 0, NULL, NULL, NULL, NULL, 0) &&
                PQsendQueryParams(handle, statement->sql, statement->parameter_count,
                                  statement->types, statement->values, NULL, NULL, 0) &&
                PQsendQueryParams(handle, "ROLLBACK", 0, NULL, NULL, NULL, NULL, 0);
    return pipeline_run(connection, sent, deadline, ret_rows, failure);
}

/*
 * libpq never makes a connection's buffer smaller: one that has taken a large answer is closed
 * after it, so that the memory comes back.
 */
#define BUFFER_KEEP ((int)1024 * 1024)

static void wear(struct db_connection *connection, const PGresult *rows)
{
    if (rows && PQntuples(rows) > 0 && PQgetlength(rows, 0, 0) > BUFFER_KEEP)
        connection->dead = true;
}

typedef bool runner(struct db_connection *, const struct db_statement *, int64_t, PGresult **,
                    struct db_failure *);

bool db_run(struct db_connection *connection, const struct db_statement *statement,
            struct db_result **ret_result, struct db_failure *failure)
{
    runner *run = connection->settings->transaction_pooling ? run_in_transaction : run_in_session;
    int64_t deadline = clock_monotonic() + statement->timeout + DB_GRACE;
    struct db_failure local = {0};
    PGresult *rows = NULL;
    bool done = run(connection, statement, deadline, &rows, &local);
    if (!done && local.kind == DB_FAILURE_STALE && !connection->dead) {
        connection->forget = true;
        done = run(connection, statement, deadline, &rows, &local);
    }
    if (!done) {
        if (local.kind == DB_FAILURE_STALE)
            local.kind = DB_FAILURE_STATEMENT; /* preparing anew did not mend it */
        if (local.kind == DB_FAILURE_UNAVAILABLE && local.sqlstate[0])
            connection->dead = true;
        if (failure)
            *failure = local;
        return false;
    }
    wear(connection, rows);
    *ret_result = (struct db_result *)rows;
    return true;
}

bool db_execute(struct db_connection *connection, const char *sql, const char *const *values,
                int value_count, int64_t timeout, struct db_result **ret_result,
                struct db_failure *failure)
{
    PGresult *rows = NULL;
    if (!PQsendQueryParams(connection->handle, sql, value_count, NULL, values, NULL, NULL, 0))
        return db_lost(connection, failure);
    if (!db_round_trip(connection, clock_monotonic() + timeout, &rows, failure))
        return false;
    *ret_result = (struct db_result *)rows;
    return true;
}
