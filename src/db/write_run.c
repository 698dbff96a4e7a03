#include "db/write_run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "db/prepared.h"

/* What a command of the pipeline is there for. */
enum purpose {
    PURPOSE_BEGIN,
    PURPOSE_SETTING,
    PURPOSE_IDENTITY,
    PURPOSE_PREPARE,
    PURPOSE_STATEMENT,
    PURPOSE_CONSTRAINTS,
    PURPOSE_COMMIT,
};

/* Beside the statements, of which each may need a setting, its preparing, and itself. */
#define COMMANDS_AROUND 8
#define COMMANDS_EACH 3

struct command {
    enum purpose purpose;
    size_t statement; /* which one, from 0 */
};

struct attempt {
    struct db_connection *connection;
    const struct db_write *write;
    int64_t timeout, deadline;
    struct command *commands;
    struct db_replies replies;
    bool failed; /* a command could not be sent */
};

static bool attempt_begin(struct attempt *attempt)
{
    size_t most = COMMANDS_AROUND + COMMANDS_EACH * attempt->write->count;
    attempt->commands = calloc(most, sizeof *attempt->commands);
    attempt->replies.results = calloc(most, sizeof *attempt->replies.results);
    return attempt->commands && attempt->replies.results;
}

static void replies_clear(struct db_replies *replies)
{
    for (size_t i = 0; i < replies->done; i++)
        PQclear(replies->results[i]);
    *replies = (struct db_replies){.results = replies->results};
}

static void attempt_end(struct attempt *attempt)
{
    if (attempt->replies.results)
        replies_clear(&attempt->replies);
    free(attempt->replies.results);
    free(attempt->commands);
}

static void sent(struct attempt *attempt, enum purpose purpose, size_t statement, int success)
{
    attempt->commands[attempt->replies.count++] =
        (struct command){.purpose = purpose, .statement = statement};
    attempt->failed = attempt->failed || !success;
}

static void send_values(struct attempt *attempt, enum purpose purpose, const char *sql, int count,
                        const char *const *values)
{
    sent(attempt, purpose, 0,
         PQsendQueryParams(attempt->connection->handle, sql, count, NULL, values, NULL, NULL, 0));
}

static void send(struct attempt *attempt, enum purpose purpose, const char *sql)
{
    send_values(attempt, purpose, sql, 0, NULL);
}

/* The session's own limit is left as it is: a write knows only how much time is left. */
static void send_begin(struct attempt *attempt)
{
    char limit[80];
    send(attempt, PURPOSE_BEGIN, "BEGIN READ WRITE");
    if (attempt->connection->session_timeout == attempt->timeout)
        return;
    snprintf(limit, sizeof limit, "SET LOCAL statement_timeout = %" PRId64,
             db_milliseconds(attempt->timeout));
    send(attempt, PURPOSE_SETTING, limit);
}

/* PostgreSQL's limit is each statement's: the later ones get what the earlier ones have left. */
static void send_time_left(struct attempt *attempt)
{
    char sql[240];
    snprintf(sql, sizeof sql,
             "SELECT pg_catalog.set_config('statement_timeout', GREATEST(1, %" PRId64
             " - 1000 * EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() - "
             "pg_catalog.transaction_timestamp()))::int::text, true)",
             db_milliseconds(attempt->timeout));
    send(attempt, PURPOSE_SETTING, sql);
}

static void send_identity(struct attempt *attempt)
{
    const struct db_identity *identity = attempt->write->identity;
    if (!identity)
        return;
    if (identity->claims)
        send_values(attempt, PURPOSE_IDENTITY,
                    "SELECT pg_catalog.set_config('request.jwt.claims', $1, true)", 1,
                    &identity->claims);
    if (identity->role)
        send_values(attempt, PURPOSE_IDENTITY, "SELECT pg_catalog.set_config('role', $1, true)", 1,
                    &identity->role);
}

static bool is_prepared(const struct attempt *attempt, uint64_t id)
{
    for (size_t i = 0; i < attempt->replies.count; i++)
        if (attempt->commands[i].purpose == PURPOSE_PREPARE &&
            attempt->write->statements[attempt->commands[i].statement].id == id)
            return true;
    return prepared_has(attempt->connection, id);
}

/*
 * Prepared within the transaction, since it may use what the statements before it make; what is
 * prepared stays, whatever becomes of the transaction.
 */
static void send_prepared(struct attempt *attempt, const struct db_statement *statement,
                          size_t number)
{
    char name[PREPARED_NAME_SIZE];
    PGconn *handle = attempt->connection->handle;
    prepared_name(statement->id, name);
    if (!is_prepared(attempt, statement->id))
        sent(attempt, PURPOSE_PREPARE, number,
             PQsendPrepare(handle, name, statement->sql, statement->parameter_count,
                           statement->types));
    sent(attempt, PURPOSE_STATEMENT, number,
         PQsendQueryPrepared(handle, name, statement->parameter_count, statement->values, NULL,
                             NULL, 0));
}

static void send_statement(struct attempt *attempt, size_t number)
{
    const struct db_statement *statement = &attempt->write->statements[number];
    if (number > 0)
        send_time_left(attempt);
    if (!attempt->connection->settings->transaction_pooling)
        send_prepared(attempt, statement, number);
    else
        sent(attempt, PURPOSE_STATEMENT, number,
             PQsendQueryParams(attempt->connection->handle, statement->sql,
                               statement->parameter_count, statement->types, statement->values,
                               NULL, NULL, 0));
}

/* What is deferred strikes before the end, where it can still be told and counted. */
static void send_statements(struct attempt *attempt)
{
    for (size_t i = 0; i < attempt->write->count; i++)
        send_statement(attempt, i);
    send(attempt, PURPOSE_CONSTRAINTS, "SET CONSTRAINTS ALL IMMEDIATE");
}

static void remember_prepared(struct attempt *attempt)
{
    for (size_t i = 0; i < attempt->replies.done; i++)
        if (attempt->commands[i].purpose == PURPOSE_PREPARE)
            prepared_add(attempt->connection,
                         attempt->write->statements[attempt->commands[i].statement].id);
}

/*
 * Whether the server can't have committed. What it refused before the COMMIT it has undone; a
 * session's end in the place of the COMMIT's reply says nothing.
 */
static bool certainly_undone(const struct attempt *attempt)
{
    const struct db_replies *replies = &attempt->replies;
    bool committing =
        replies->count > 0 && attempt->commands[replies->count - 1].purpose == PURPOSE_COMMIT;
    if (!committing)
        return true;
    return replies->refused && !(replies->fatal && replies->done + 1 == replies->count);
}

static void explain(const struct attempt *attempt, struct db_failure *failure)
{
    const struct command *command = &attempt->commands[attempt->replies.done];
    if (!certainly_undone(attempt)) {
        failure->kind = DB_FAILURE_UNKNOWN;
        return;
    }
    if (!attempt->replies.refused)
        return;
    failure->statement = command->statement;
    if (command->purpose == PURPOSE_IDENTITY && failure->kind == DB_FAILURE_VALUE)
        failure->kind = DB_FAILURE_FORBIDDEN; /* there is no such role */
}

/* Sends what is there with a sync and takes the replies. */
static bool attempt_round(struct attempt *attempt, struct db_failure *failure)
{
    bool done = false;
    if (attempt->failed || !PQpipelineSync(attempt->connection->handle))
        (void)!db_lost(attempt->connection, failure);
    else
        done = db_round_collect(attempt->connection, attempt->deadline, &attempt->replies, failure);
    remember_prepared(attempt);
    if (!done)
        explain(attempt, failure);
    return done;
}

/* Takes the reply of the last command with this purpose out of the replies; null: none. */
static struct db_result *reply_take(struct attempt *attempt, enum purpose purpose)
{
    for (size_t i = attempt->replies.done; i-- > 0;)
        if (attempt->commands[i].purpose == purpose) {
            PGresult *result = attempt->replies.results[i];
            attempt->replies.results[i] = NULL;
            return (struct db_result *)result;
        }
    return NULL;
}

/* Commands that take a statement out of the transaction that it is to be a part of. */
static const char *const transaction_ends[] = {"COMMIT", "ROLLBACK", "PREPARE TRANSACTION"};

/* Too late to undo what it did then, but nobody is told that all is well. */
static bool stayed_within(const struct attempt *attempt, struct db_failure *failure)
{
    for (size_t i = 0; i < attempt->replies.count; i++) {
        const char *status = PQcmdStatus(attempt->replies.results[i]);
        for (size_t j = 0; j < ARRAY_COUNT(transaction_ends); j++)
            if (attempt->commands[i].purpose == PURPOSE_STATEMENT &&
                strcmp(status, transaction_ends[j]) == 0)
                return db_failure_set(failure, DB_FAILURE_STATEMENT,
                                      "a statement of the write ends its transaction: %s", status);
    }
    return true;
}

static bool attempt_run(struct attempt *attempt, struct db_written *ret_written,
                        struct db_failure *failure)
{
    send_begin(attempt);
    send_identity(attempt);
    send_statements(attempt);
    send(attempt, PURPOSE_COMMIT, "COMMIT");
    if (!attempt_round(attempt, failure) || !stayed_within(attempt, failure))
        return false;
    ret_written->result = reply_take(attempt, PURPOSE_STATEMENT);
    return true;
}

bool db_write_run(struct db_connection *connection, const struct db_write *write, int64_t timeout,
                  struct db_written *ret_written, struct db_failure *failure)
{
    int64_t deadline = clock_monotonic() + timeout + DB_GRACE;
    struct attempt attempt = {
        .connection = connection, .write = write, .timeout = timeout, .deadline = deadline};
    struct db_written written = {.outcome = DB_WRITTEN};
    bool done = false;
    if (connection->forget && !connection->settings->transaction_pooling &&
        !db_forget_now(connection, deadline, failure))
        return false;
    if (!attempt_begin(&attempt))
        db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    else if (!PQenterPipelineMode(connection->handle))
        (void)!db_lost(connection, failure);
    else
        done = attempt_run(&attempt, &written, failure);
    db_pipeline_end(connection, deadline);
    attempt_end(&attempt);
    if (!done) {
        db_written_free(&written);
        if (failure->kind == DB_FAILURE_UNAVAILABLE && failure->sqlstate[0])
            connection->dead = true;
        return false;
    }
    db_wear(connection, (PGresult *)written.result);
    *ret_written = written;
    return true;
}
