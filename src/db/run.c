/*
 * Running statements: prepared in a session of our own, in one pipeline behind PgBouncer.
 */
#include "db/prepared.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "db/write.h"

/* What every session has prepared beside the routes' statements. Behind one of those only where it
 * is plain: another may take everything prepared away. */
#define BEGIN_NAME "larder_begin"
#define ROLLBACK_NAME "larder_rollback"
#define IDENTITY_NAME "larder_identity"

const char db_unlock_sql[] = "SELECT pg_catalog.pg_advisory_unlock_all()";

const char db_identity_sql[] =
    "SELECT pg_catalog.set_config('request.jwt.claims', $2::pg_catalog.text, true),"
    " pg_catalog.set_config('role', " DB_ROLE_SQL ", true)";

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
void db_pipeline_end(struct db_connection *connection, int64_t deadline)
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
    unsigned answered = connection->answered;
    db_pipeline_end(connection, deadline);
    connection->answered = answered; /* the pipeline's, not the ROLLBACK's after it */
    return done;
}

bool db_session_begin(struct db_connection *connection, int64_t timeout, int64_t deadline,
                      struct db_failure *failure)
{
    char limit[64];
    PGconn *handle = connection->handle;
    PGresult *rows = NULL;
    bool asks = !PQparameterStatus(handle, "in_hot_standby"); /* before PostgreSQL 14 */
    snprintf(limit, sizeof limit, "SET statement_timeout = %" PRId64, db_milliseconds(timeout));
    bool sent = PQenterPipelineMode(handle) &&
                PQsendQueryParams(handle, limit, 0, NULL, NULL, NULL, NULL, 0) &&
                PQsendPrepare(handle, BEGIN_NAME, "BEGIN READ ONLY", 0, NULL) &&
                PQsendPrepare(handle, ROLLBACK_NAME, "ROLLBACK", 0, NULL) &&
                PQsendPrepare(handle, IDENTITY_NAME, db_identity_sql, 0, NULL) &&
                (!asks || PQsendQueryParams(handle, "SELECT pg_catalog.pg_is_in_recovery()", 0,
                                            NULL, NULL, NULL, NULL, 0));
    if (!pipeline_run(connection, sent, deadline, &rows, failure))
        return false;
    connection->recovering = asks && rows && strcmp(PQgetvalue(rows, 0, 0), "t") == 0;
    PQclear(rows);
    connection->session_timeout = timeout;
    return true;
}

bool db_forget_now(struct db_connection *connection, int64_t deadline, struct db_failure *failure)
{
    if (!command_run(connection, "DISCARD ALL", deadline, failure))
        return false;
    prepared_clear(connection);
    connection->touched = connection->drawn = connection->writer = false;
    return db_session_begin(connection, connection->session_timeout, deadline, failure);
}

static bool prepare(struct db_connection *connection, const struct db_statement *statement,
                    int64_t deadline, struct db_failure *failure)
{
    if (prepared_has(connection, statement->id))
        return true;
    char name[PREPARED_NAME_SIZE];
    prepared_name(statement->id, name);
    PGresult *rows = NULL;
    if (!PQsendPrepare(connection->handle, name, statement->sql, statement->parameter_count,
                       statement->types))
        return db_lost(connection, failure);
    if (!db_round_trip(connection, deadline, &rows, failure))
        return false;
    PQclear(rows);
    prepared_add(connection, statement->id);
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

static bool send_identity(const struct db_connection *connection,
                          const struct db_identity *identity)
{
    if (!identity)
        return true;
    const char *const values[] = {identity->role, identity->claims};
    if (connection->settings->transaction_pooling)
        return PQsendQueryParams(connection->handle, db_identity_sql, 2, NULL, values, NULL, NULL,
                                 0);
    return send_prepared(connection->handle, IDENTITY_NAME, 2, values);
}

static bool send_rollback(PGconn *handle, const struct db_statement *statement)
{
    if (statement->plain)
        return send_prepared(handle, ROLLBACK_NAME, 0, NULL);
    return PQsendQueryParams(handle, "ROLLBACK", 0, NULL, NULL, NULL, NULL, 0);
}

/* Behind the ROLLBACK. Of the results before it the statement's is the last with rows. */
static bool send_unlock(struct db_connection *connection, const struct db_statement *statement,
                        unsigned before)
{
    if (statement->plain)
        return true;
    connection->touched = true;
    connection->heeded = before + (statement->identity ? 1 : 0);
    return PQsendQueryParams(connection->handle, db_unlock_sql, 0, NULL, NULL, NULL, NULL, 0);
}

/*
 * A session of our own: everything is prepared, and the transaction is one round trip. It ends in a
 * ROLLBACK, so that not even a setting the statement made outlives it.
 */
static bool run_in_session(struct db_connection *connection, const struct db_statement *statement,
                           int64_t deadline, PGresult **ret_rows, struct db_failure *failure)
{
    char name[PREPARED_NAME_SIZE];
    PGconn *handle = connection->handle;
    if (connection->forget && !db_forget_now(connection, deadline, failure))
        return false;
    if (!timeout_apply(connection, statement->timeout, deadline, failure) ||
        !prepare(connection, statement, deadline, failure))
        return false;
    prepared_name(statement->id, name);
    bool sent = PQenterPipelineMode(handle) && send_prepared(handle, BEGIN_NAME, 0, NULL) &&
                send_identity(connection, statement->identity) &&
                send_prepared(handle, name, statement->parameter_count, statement->values) &&
                send_rollback(handle, statement) && send_unlock(connection, statement, 3);
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
                send_identity(connection, statement->identity) &&
                PQsendQueryParams(handle, statement->sql, statement->parameter_count,
                                  statement->types, statement->values, NULL, NULL, 0) &&
                PQsendQueryParams(handle, "ROLLBACK", 0, NULL, NULL, NULL, NULL, 0) &&
                send_unlock(connection, statement, 4);
    return pipeline_run(connection, sent, deadline, ret_rows, failure);
}

typedef bool runner(struct db_connection *, const struct db_statement *, int64_t, PGresult **,
                    struct db_failure *);

/* The session is no member of the role (42501), or there is none (22023: a bad setting). */
static bool identity_refused(const struct db_connection *connection,
                             const struct db_statement *statement, const struct db_failure *failure)
{
    unsigned before = connection->settings->transaction_pooling ? 2 : 1;
    return statement->identity && connection->answered == before &&
           (strcmp(failure->sqlstate, "22023") == 0 || strcmp(failure->sqlstate, "42501") == 0);
}

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
        if (identity_refused(connection, statement, &local))
            local.kind = DB_FAILURE_FORBIDDEN;
        if (local.kind == DB_FAILURE_STALE)
            local.kind = DB_FAILURE_STATEMENT; /* preparing anew did not mend it */
        if (local.kind == DB_FAILURE_UNAVAILABLE && local.sqlstate[0])
            connection->dead = true;
        if (failure)
            *failure = local;
        return false;
    }
    connection->touched = false;
    db_wear(connection, rows);
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

/* Its place among what is prepared; ASKED_MAX: none is free. */
static size_t asked_find(const struct db_connection *connection, const char *sql)
{
    size_t at = 0;
    while (at < ASKED_MAX && connection->asked[at] && connection->asked[at] != sql)
        at++;
    return at;
}

static bool asked_prepare(struct db_connection *connection, size_t at, const char *sql,
                          const char *name, int64_t deadline, struct db_failure *failure)
{
    PGresult *rows = NULL;
    if (connection->asked[at])
        return true;
    if (!PQsendPrepare(connection->handle, name, sql, 0, NULL))
        return db_lost(connection, failure);
    if (!db_round_trip(connection, deadline, &rows, failure))
        return false;
    PQclear(rows);
    connection->asked[at] = sql;
    return true;
}

bool db_ask(struct db_connection *connection, const char *sql, const char *const *values,
            int value_count, int64_t timeout, struct db_result **ret_result,
            struct db_failure *failure)
{
    char name[32];
    PGresult *rows = NULL;
    int64_t deadline = clock_monotonic() + timeout;
    size_t at = asked_find(connection, sql);
    if (at == ASKED_MAX || connection->settings->transaction_pooling)
        return db_execute(connection, sql, values, value_count, timeout, ret_result, failure);
    snprintf(name, sizeof name, "larder_asked_%zu", at);
    if (!asked_prepare(connection, at, sql, name, deadline, failure))
        return false;
    if (!send_prepared(connection->handle, name, value_count, values))
        return db_lost(connection, failure);
    if (!db_round_trip(connection, deadline, &rows, failure))
        return false;
    *ret_result = (struct db_result *)rows;
    return true;
}

void db_ask_ready(struct db_connection *connection, int64_t timeout)
{
    struct db_failure unused = {0};
    if (connection->asks || connection->settings->transaction_pooling)
        return;
    connection->asks = true;
    if (!db_script(connection, "CREATE TEMPORARY TABLE larder_asks () ON COMMIT DROP", timeout,
                   &unused))
        return; /* who may not make it may make no view either, which is told there */
}
