#include "db/connection.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "base/clock.h"

/* How many statements a connection remembers; a power of two. More only cost preparing again. */
#define PREPARED_MAX 1024
#define NAME_SIZE 32

struct db_connection {
    PGconn *handle;
    const struct db_settings *settings;
    bool dead;
    bool forget; /* DEALLOCATE ALL before the next statement */
    int64_t session_timeout;
    uint64_t prepared[PREPARED_MAX]; /* open addressing by id; 0: free */
    unsigned prepared_count;
};

static const PGresult *raw(const struct db_result *result)
{
    return (const PGresult *)result;
}

/* libpq ends its messages with a newline and may have several lines: the first says it. */
static void message_copy(struct db_failure *failure, const char *message)
{
    size_t length = message ? strcspn(message, "\n") : 0;
    snprintf(failure->message, sizeof failure->message, "%.*s", (int)length,
             message ? message : "");
}

static bool lost(struct db_connection *connection, struct db_failure *failure)
{
    connection->dead = true;
    if (!failure)
        return false;
    *failure = (struct db_failure){.kind = DB_FAILURE_UNAVAILABLE};
    message_copy(failure, PQerrorMessage(connection->handle));
    return false;
}

static bool given_up(struct db_connection *connection, struct db_failure *failure)
{
    connection->dead = true;
    return db_failure_set(failure, DB_FAILURE_TIMEOUT,
                          "PostgreSQL did not answer in time; the connection was given up");
}

/* Waits for the socket; false when the deadline passed or poll failed. */
static bool socket_wait(PGconn *handle, short events, int64_t deadline)
{
    struct pollfd pollfd = {.fd = PQsocket(handle), .events = events};
    for (;;) {
        int ready = poll(&pollfd, 1, clock_remaining_ms(deadline, clock_monotonic()));
        if (ready > 0)
            return true;
        if (ready == 0 || errno != EINTR)
            return false;
    }
}

static bool flush(struct db_connection *connection, int64_t deadline, struct db_failure *failure)
{
    int left;
    while ((left = PQflush(connection->handle)) > 0) {
        if (!socket_wait(connection->handle, POLLIN | POLLOUT, deadline))
            return given_up(connection, failure);
        if (!PQconsumeInput(connection->handle))
            return lost(connection, failure);
    }
    return left == 0 ? true : lost(connection, failure);
}

static bool next_result(struct db_connection *connection, int64_t deadline, PGresult **ret_result,
                        struct db_failure *failure)
{
    while (PQisBusy(connection->handle)) {
        if (!socket_wait(connection->handle, POLLIN, deadline))
            return given_up(connection, failure);
        if (!PQconsumeInput(connection->handle))
            return lost(connection, failure);
    }
    *ret_result = PQgetResult(connection->handle);
    return true;
}

static bool result_good(const PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_PIPELINE_SYNC:
        return true;
    default:
        return false;
    }
}

static size_t field_number(const PGresult *result, int field)
{
    const char *text = PQresultErrorField(result, field);
    return text ? (size_t)strtoul(text, NULL, 10) : 0;
}

static void failure_of_result(const PGresult *result, struct db_failure *failure)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    *failure = (struct db_failure){.kind = DB_FAILURE_UNAVAILABLE};
    message_copy(failure, message ? message : PQresultErrorMessage(result));
    if (!sqlstate)
        return;
    snprintf(failure->sqlstate, sizeof failure->sqlstate, "%s", sqlstate);
    failure->kind = db_failure_of_sqlstate(sqlstate);
    failure->position = field_number(result, PG_DIAG_STATEMENT_POSITION);
}

/* The outcome of one round: the last result with rows, or the first failure. */
struct round {
    PGresult *rows;
    struct db_failure failure;
};

static void round_take(struct round *round, PGresult *result)
{
    if (!result_good(result)) {
        /* What follows the first failure in a pipeline is only its echo. */
        if (PQresultStatus(result) != PGRES_PIPELINE_ABORTED && !round->failure.kind)
            failure_of_result(result, &round->failure);
        PQclear(result);
    } else if (PQresultStatus(result) == PGRES_TUPLES_OK ||
               (PQresultStatus(result) == PGRES_COMMAND_OK &&
                PQresultStatus(round->rows) != PGRES_TUPLES_OK)) {
        PQclear(round->rows);
        round->rows = result;
    } else {
        PQclear(result);
    }
}

/* Takes results until the connection is idle (two nulls in a row, or a pipeline's sync). */
static bool round_drain(struct db_connection *connection, int64_t deadline, struct round *round,
                        struct db_failure *failure)
{
    bool pipeline = PQpipelineStatus(connection->handle) != PQ_PIPELINE_OFF;
    for (;;) {
        PGresult *result = NULL;
        if (!next_result(connection, deadline, &result, failure))
            return false;
        if (!result && !pipeline)
            return true;
        if (!result)
            continue;
        bool synced = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
        round_take(round, result);
        if (synced)
            return true;
    }
}

/* Sends what libpq holds, takes all results, and hands out the rows. */
static bool round_trip(struct db_connection *connection, int64_t deadline, PGresult **ret_rows,
                       struct db_failure *failure)
{
    struct round round = {0};
    if (!flush(connection, deadline, failure) ||
        !round_drain(connection, deadline, &round, failure)) {
        PQclear(round.rows);
        return false;
    }
    if (PQstatus(connection->handle) == CONNECTION_BAD)
        connection->dead = true;
    if (round.failure.kind) {
        PQclear(round.rows);
        if (failure)
            *failure = round.failure;
        return false;
    }
    *ret_rows = round.rows;
    return true;
}

static bool connect_poll(PGconn *handle, int64_t deadline)
{
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    while (status != PGRES_POLLING_OK) {
        if (status == PGRES_POLLING_FAILED ||
            !socket_wait(handle, status == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline))
            return false;
        status = PQconnectPoll(handle);
    }
    return true;
}

static void notice_ignore(void *argument, const PGresult *notice)
{
    (void)argument;
    (void)notice;
}

/* For statement_timeout, where 0 would mean none. */
static int64_t milliseconds(int64_t microseconds)
{
    return microseconds < 1000 ? 1 : microseconds / 1000;
}

static bool session_prepare(struct db_connection *connection, int64_t deadline,
                            struct db_failure *failure)
{
    char sql[160];
    if (connection->settings->transaction_pooling)
        return true;
    snprintf(sql, sizeof sql,
             "SET default_transaction_read_only = on; SET statement_timeout = %" PRId64,
             milliseconds(connection->settings->statement_timeout));
    PGresult *rows = NULL;
    if (!PQsendQuery(connection->handle, sql))
        return lost(connection, failure);
    if (!round_trip(connection, deadline, &rows, failure))
        return false;
    PQclear(rows);
    connection->session_timeout = connection->settings->statement_timeout;
    return true;
}

static bool connect_handle(struct db_connection *connection, int64_t deadline,
                           struct db_failure *failure)
{
    const char *const keywords[] = {"client_encoding", "fallback_application_name", NULL};
    const char *const values[] = {"UTF8", "larder", NULL};
    connection->handle = PQconnectStartParams(keywords, values, 0);
    if (!connection->handle)
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    if (PQstatus(connection->handle) == CONNECTION_BAD ||
        !connect_poll(connection->handle, deadline)) {
        lost(connection, failure);
        if (failure && !failure->message[0])
            db_failure_set(failure, DB_FAILURE_UNAVAILABLE,
                           "PostgreSQL did not accept the connection in time");
        return false;
    }
    PQsetnonblocking(connection->handle, 1);
    PQsetNoticeReceiver(connection->handle, notice_ignore, NULL);
    return session_prepare(connection, deadline, failure);
}

bool db_connect(const struct db_settings *settings, int64_t deadline,
                struct db_connection **ret_connection, struct db_failure *failure)
{
    struct db_connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    connection->settings = settings;
    if (!connect_handle(connection, deadline, failure)) {
        db_disconnect(connection);
        if (failure && failure->kind == DB_FAILURE_TIMEOUT)
            failure->kind = DB_FAILURE_UNAVAILABLE;
        return false;
    }
    *ret_connection = connection;
    return true;
}

void db_disconnect(struct db_connection *connection)
{
    if (!connection)
        return;
    PQfinish(connection->handle);
    free(connection);
}

bool db_usable(const struct db_connection *connection)
{
    return !connection->dead;
}

bool db_idle_alive(struct db_connection *connection)
{
    struct pollfd pollfd = {.fd = PQsocket(connection->handle), .events = POLLIN};
    if (connection->dead)
        return false;
    if (poll(&pollfd, 1, 0) <= 0)
        return true;
    /* A notice is harmless; the farewell of a server that shuts down is not. */
    if (!PQconsumeInput(connection->handle) || PQstatus(connection->handle) == CONNECTION_BAD)
        return false;
    return poll(&pollfd, 1, 0) <= 0;
}

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

static bool forget_now(struct db_connection *connection, int64_t deadline,
                       struct db_failure *failure)
{
    PGresult *rows = NULL;
    if (!PQsendQuery(connection->handle, "DEALLOCATE ALL"))
        return lost(connection, failure);
    if (!round_trip(connection, deadline, &rows, failure))
        return false;
    PQclear(rows);
    memset(connection->prepared, 0, sizeof connection->prepared);
    connection->prepared_count = 0;
    connection->forget = false;
    return true;
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
        return lost(connection, failure);
    if (!round_trip(connection, deadline, &rows, failure))
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
    PGresult *rows = NULL;
    if (connection->session_timeout == timeout)
        return true;
    snprintf(sql, sizeof sql, "SET statement_timeout = %" PRId64, milliseconds(timeout));
    if (!PQsendQuery(connection->handle, sql))
        return lost(connection, failure);
    if (!round_trip(connection, deadline, &rows, failure))
        return false;
    PQclear(rows);
    connection->session_timeout = timeout;
    return true;
}

/* A session of our own: the prepared statement alone, one round trip. */
static bool run_in_session(struct db_connection *connection, const struct db_statement *statement,
                           int64_t deadline, PGresult **ret_rows, struct db_failure *failure)
{
    char name[NAME_SIZE];
    if (connection->forget && !forget_now(connection, deadline, failure))
        return false;
    if (!timeout_apply(connection, statement->timeout, deadline, failure) ||
        !prepare(connection, statement, deadline, failure))
        return false;
    statement_name(statement->id, name);
    if (!PQsendQueryPrepared(connection->handle, name, statement->parameter_count,
                             statement->values, NULL, NULL, 0))
        return lost(connection, failure);
    return round_trip(connection, deadline, ret_rows, failure);
}

static bool send_pipeline(struct db_connection *connection, const struct db_statement *statement)
{
    char limit[80];
    PGconn *handle = connection->handle;
    snprintf(limit, sizeof limit, "SET LOCAL statement_timeout = %" PRId64,
             milliseconds(statement->timeout));
    return PQsendQueryParams(handle, "BEGIN READ ONLY", 0, NULL, NULL, NULL, NULL, 0) &&
           PQsendQueryParams(handle, limit, 0, NULL, NULL, NULL, NULL, 0) &&
           PQsendQueryParams(handle, statement->sql, statement->parameter_count, statement->types,
                             statement->values, NULL, NULL, 0) &&
           PQsendQueryParams(handle, "COMMIT", 0, NULL, NULL, NULL, NULL, 0) &&
           PQpipelineSync(handle);
}

static bool rollback(struct db_connection *connection, int64_t deadline)
{
    PGresult *rows = NULL;
    if (!PQsendQuery(connection->handle, "ROLLBACK") ||
        !round_trip(connection, deadline, &rows, NULL)) {
        connection->dead = true;
        return false;
    }
    PQclear(rows);
    return true;
}

/* Behind PgBouncer: the whole transaction in one pipeline, nothing prepared by name. */
static bool run_in_transaction(struct db_connection *connection,
                               const struct db_statement *statement, int64_t deadline,
                               PGresult **ret_rows, struct db_failure *failure)
{
    if (!PQenterPipelineMode(connection->handle) || !send_pipeline(connection, statement))
        return lost(connection, failure);
    bool done = round_trip(connection, deadline, ret_rows, failure);
    if (connection->dead)
        return done;
    PQexitPipelineMode(connection->handle);
    if (PQtransactionStatus(connection->handle) != PQTRANS_IDLE)
        rollback(connection, deadline);
    return done;
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
    *ret_result = (struct db_result *)rows;
    return true;
}

bool db_execute(struct db_connection *connection, const char *sql, const char *const *values,
                int value_count, int64_t timeout, struct db_result **ret_result,
                struct db_failure *failure)
{
    PGresult *rows = NULL;
    if (!PQsendQueryParams(connection->handle, sql, value_count, NULL, values, NULL, NULL, 0))
        return lost(connection, failure);
    if (!round_trip(connection, clock_monotonic() + timeout, &rows, failure))
        return false;
    *ret_result = (struct db_result *)rows;
    return true;
}

static bool description_copy(const PGresult *rows, struct db_description *ret_description)
{
    struct db_description copy = {.parameter_count = PQnparams(rows),
                                  .column_count = PQnfields(rows)};
    copy.parameter_types = calloc((size_t)copy.parameter_count + 1, sizeof *copy.parameter_types);
    copy.column_names = calloc((size_t)copy.column_count + 1, sizeof *copy.column_names);
    bool good = copy.parameter_types && copy.column_names;
    for (int i = 0; good && i < copy.parameter_count; i++)
        copy.parameter_types[i] = PQparamtype(rows, i);
    for (int i = 0; good && i < copy.column_count; i++) {
        copy.column_names[i] = strdup(PQfname(rows, i));
        good = copy.column_names[i] != NULL;
    }
    if (good)
        *ret_description = copy;
    else
        db_description_free(&copy);
    return good;
}

bool db_describe(struct db_connection *connection, const char *sql, const uint32_t *types,
                 int type_count, int64_t timeout, struct db_description *ret_description,
                 struct db_failure *failure)
{
    int64_t deadline = clock_monotonic() + timeout;
    PGresult *rows = NULL;
    if (!PQenterPipelineMode(connection->handle) ||
        !PQsendPrepare(connection->handle, "", sql, type_count, types) ||
        !PQsendDescribePrepared(connection->handle, "") || !PQpipelineSync(connection->handle))
        return lost(connection, failure);
    bool described = round_trip(connection, deadline, &rows, failure);
    if (!connection->dead)
        PQexitPipelineMode(connection->handle);
    if (!described)
        return false;
    bool copied = rows && description_copy(rows, ret_description);
    PQclear(rows);
    return copied ? true : db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
}

void db_description_free(struct db_description *description)
{
    if (!description)
        return;
    free(description->parameter_types);
    for (int i = 0; description->column_names && i < description->column_count; i++)
        free(description->column_names[i]);
    free(description->column_names);
    *description = (struct db_description){0};
}

void db_result_free(struct db_result *result)
{
    PQclear((PGresult *)result);
}

int db_result_rows(const struct db_result *result)
{
    return result ? PQntuples(raw(result)) : 0;
}

struct span db_result_value(const struct db_result *result, int row, int column)
{
    if (PQgetisnull(raw(result), row, column))
        return (struct span){0};
    return (struct span){.data = PQgetvalue(raw(result), row, column),
                         .size = (size_t)PQgetlength(raw(result), row, column)};
}
