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
    PURPOSE_TAGS,
    PURPOSE_ONCE,
    PURPOSE_RECORD,
    PURPOSE_COMMIT,
};

/* Beside the statements, of which each may need a setting, its preparing, and itself. */
#define COMMANDS_AROUND 17
#define COMMANDS_EACH 3

struct command {
    enum purpose purpose;
    size_t statement;  /* which one, from 0 */
    uint64_t prepared; /* the id of what it prepares */
};

struct attempt {
    struct db_connection *connection;
    const struct db_write *write;
    const struct write_terms *terms;
    int64_t deadline;
    struct command *commands;
    struct db_replies replies;
    bool failed; /* a command could not be sent */
    bool frozen; /* what others commit after the first command can't be seen */
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

/*
 * Whether the triggers leave their tags to this transaction. A session of our own stays as it is
 * set, once the transaction that set it has committed.
 */
static void send_writer(struct attempt *attempt)
{
    bool tags = attempt->terms->tags;
    if (attempt->connection->settings->transaction_pooling) {
        if (tags)
            send(attempt, PURPOSE_SETTING, "SET LOCAL larder.writer = 'on'");
    } else if (tags != attempt->connection->writer) {
        send(attempt, PURPOSE_SETTING,
             tags ? "SET larder.writer = 'on'" : "SET larder.writer = 'off'");
    }
}

/* How much longer than it may a statement can take, for want of a word to PostgreSQL, µs. */
#define LIMIT_SLACK INT64_C(50000)

/* Is the session's own limit about right for what time is left? */
static bool limit_fits(const struct attempt *attempt)
{
    int64_t more = attempt->connection->session_timeout - attempt->terms->timeout;
    return more >= 0 && more < LIMIT_SLACK;
}

/* PostgreSQL's limit is each statement's: the later ones get what the earlier ones have left. */
static void send_time_left(struct attempt *attempt)
{
    char sql[240];
    snprintf(sql, sizeof sql,
             "SELECT pg_catalog.set_config('statement_timeout', GREATEST(1, %" PRId64
             " - 1000 * EXTRACT(EPOCH FROM pg_catalog.clock_timestamp() - "
             "pg_catalog.transaction_timestamp()))::int::text, true)",
             db_milliseconds(attempt->terms->timeout));
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
        send_values(attempt, PURPOSE_IDENTITY,
                    "SELECT pg_catalog.set_config('role', " DB_ROLE_SQL ", true)", 1,
                    &identity->role);
}

static bool is_prepared(const struct attempt *attempt, uint64_t id)
{
    for (size_t i = 0; i < attempt->replies.count; i++)
        if (attempt->commands[i].prepared == id)
            return true;
    return prepared_has(attempt->connection, id);
}

/*
 * Prepared within the transaction, since it may use what the statements before it make; what is
 * prepared stays, whatever becomes of the transaction.
 */
static void send_prepared(struct attempt *attempt, const struct db_statement *statement,
                          enum purpose purpose, size_t number)
{
    char name[PREPARED_NAME_SIZE];
    PGconn *handle = attempt->connection->handle;
    prepared_name(statement->id, name);
    if (!is_prepared(attempt, statement->id)) {
        sent(attempt, purpose == PURPOSE_TAGS ? PURPOSE_TAGS : PURPOSE_PREPARE, number,
             PQsendPrepare(handle, name, statement->sql, statement->parameter_count,
                           statement->types));
        attempt->commands[attempt->replies.count - 1].prepared = statement->id;
    }
    sent(attempt, purpose, number,
         PQsendQueryPrepared(handle, name, statement->parameter_count, statement->values, NULL,
                             NULL, 0));
}

static void send_statement(struct attempt *attempt, const struct db_statement *statement,
                           enum purpose purpose, size_t number)
{
    if (!attempt->connection->settings->transaction_pooling)
        send_prepared(attempt, statement, purpose, number);
    else
        sent(attempt, purpose, number,
             PQsendQueryParams(attempt->connection->handle, statement->sql,
                               statement->parameter_count, statement->types, statement->values,
                               NULL, NULL, 0));
}

/* Those of every write: prepared once, they need no parsing and little more. */
static const struct db_statement begin_statement = {.id = UINT64_C(0x6c61726465726d03),
                                                    .sql = "BEGIN READ WRITE"};
static const struct db_statement constraints_statement = {.id = UINT64_C(0x6c61726465726d04),
                                                          .sql = "SET CONSTRAINTS ALL IMMEDIATE"};
static const struct db_statement commit_statement = {.id = UINT64_C(0x6c61726465726d05),
                                                     .sql = "COMMIT"};

/* The session's own limit is left as it is: a write knows only how much time is left. */
static void send_begin(struct attempt *attempt)
{
    char limit[80];
    send_statement(attempt, &begin_statement, PURPOSE_BEGIN, 0);
    if (!attempt->connection->settings->transaction_pooling && limit_fits(attempt))
        return;
    snprintf(limit, sizeof limit, "SET LOCAL statement_timeout = %" PRId64,
             db_milliseconds(attempt->terms->timeout));
    send(attempt, PURPOSE_SETTING, limit);
}

static const struct db_statement tags_statement = {
    .id = UINT64_C(0x6c61726465726d01),
    .sql = "SELECT tag, xid::pg_catalog.text FROM larder.mine()"};

static const struct db_statement leave_statement = {
    .id = UINT64_C(0x6c61726465726d02),
    .sql = "INSERT INTO larder.outbox (tag) SELECT pg_catalog.unnest($1::pg_catalog.text[])",
    .parameter_count = 1};

/* As the session's own role: the identity's need not be let at the outbox. */
static void send_leave(struct attempt *attempt)
{
    struct db_statement statement = leave_statement;
    statement.values = &attempt->terms->leave;
    if (attempt->terms->leave)
        send_statement(attempt, &statement, PURPOSE_TAGS, 0);
}

/* What is deferred strikes before the end, where it can still be told and counted. */
static void send_statements(struct attempt *attempt)
{
    for (size_t i = 0; i < attempt->write->count; i++) {
        if (i > 0)
            send_time_left(attempt);
        send_statement(attempt, &attempt->write->statements[i], PURPOSE_STATEMENT, i);
    }
    send_statement(attempt, &constraints_statement, PURPOSE_CONSTRAINTS, 0);
    if (attempt->terms->tags)
        send_statement(attempt, &tags_statement, PURPOSE_TAGS, 0);
}

static void remember_prepared(struct attempt *attempt)
{
    for (size_t i = 0; i < attempt->replies.done; i++)
        if (attempt->commands[i].prepared)
            prepared_add(attempt->connection, attempt->commands[i].prepared);
}

/* PgBouncer's words on a client that it never let through to a server. */
static const char *const not_let_through[] = {
    "query_wait_timeout",
    "pgbouncer cannot connect to server",
    "server login has been failing",
    "no more connections allowed",
    "client_login_timeout",
};

/* PgBouncer's word on a server that it lost stands where the reply to any command would. */
static bool is_hearsay(const struct db_failure *failure)
{
    if (strncmp(failure->sqlstate, "08", 2) != 0)
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(not_let_through); i++)
        if (strncmp(failure->message, not_let_through[i], strlen(not_let_through[i])) == 0)
            return false;
    return true;
}

/*
 * Whether the server can't have committed. What it refused before the COMMIT it has undone; a
 * session's end in the place of the COMMIT's reply says nothing.
 */
static bool certainly_undone(const struct attempt *attempt, const struct db_failure *failure)
{
    const struct db_replies *replies = &attempt->replies;
    bool committing =
        replies->count > 0 && attempt->commands[replies->count - 1].purpose == PURPOSE_COMMIT;
    if (!committing)
        return true;
    return replies->refused && !is_hearsay(failure) &&
           !(replies->fatal && replies->done + 1 == replies->count);
}

/* What PostgreSQL says where the schema `larder` is not there, older, or not for this role. */
static const char *const uninstalled_states[] = {
    "42883", /* undefined_function */
    "3F000", /* invalid_schema_name */
    "42501", /* insufficient_privilege */
    "42703", /* undefined_column */
    "42P01", /* undefined_table */
};

static bool is_uninstalled(const struct db_failure *failure)
{
    for (size_t i = 0; i < ARRAY_COUNT(uninstalled_states); i++)
        if (strcmp(failure->sqlstate, uninstalled_states[i]) == 0)
            return true;
    return false;
}

/* A refusal of one of the write's own commands is another thing than one of a statement. */
static void explain_purpose(enum purpose purpose, struct db_failure *failure)
{
    if (purpose == PURPOSE_IDENTITY && failure->kind == DB_FAILURE_VALUE)
        failure->kind = DB_FAILURE_FORBIDDEN; /* there is no such role */
    if ((purpose == PURPOSE_ONCE || purpose == PURPOSE_RECORD) && is_uninstalled(failure))
        failure->kind = DB_FAILURE_UNINSTALLED;
    if (purpose == PURPOSE_RECORD && failure->kind == DB_FAILURE_CONSTRAINT)
        failure->kind = DB_FAILURE_RETRY; /* an old snapshot hid that it was done before */
}

static enum write_again judge(const struct attempt *attempt, const struct db_failure *failure)
{
    const struct db_replies *replies = &attempt->replies;
    enum purpose refused = attempt->commands[replies->done].purpose;
    if (failure->kind == DB_FAILURE_UNAVAILABLE && attempt->connection->dead)
        return WRITE_AGAIN_FRESH;
    if (!replies->refused)
        return WRITE_AGAIN_NOT;
    if (refused == PURPOSE_TAGS && is_uninstalled(failure))
        return WRITE_AGAIN_TAGLESS;
    if (failure->kind == DB_FAILURE_CONSTRAINT && attempt->frozen)
        return WRITE_AGAIN_LOOK;
    if (failure->kind == DB_FAILURE_STALE)
        return WRITE_AGAIN_ANEW;
    return failure->kind == DB_FAILURE_RETRY ? WRITE_AGAIN_LATER : WRITE_AGAIN_NOT;
}

static void explain(const struct attempt *attempt, struct db_failure *failure)
{
    const struct command *command = &attempt->commands[attempt->replies.done];
    if (!certainly_undone(attempt, failure)) {
        failure->kind = DB_FAILURE_UNKNOWN;
        return;
    }
    if (!attempt->replies.refused)
        return;
    failure->statement = command->statement;
    explain_purpose(command->purpose, failure);
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

static void tags_take(struct attempt *attempt, struct db_written *written)
{
    written->tags = reply_take(attempt, PURPOSE_TAGS);
    if (db_result_rows(written->tags) > 0)
        written->transaction = strtoull(db_result_value(written->tags, 0, 1).data, NULL, 10);
}

static struct span first_value(const PGresult *result, int column)
{
    return db_result_value((const struct db_result *)result, 0, column);
}

/* The values are bytes, in both directions. */
static void send_bytes(struct attempt *attempt, enum purpose purpose, const char *sql,
                       const struct span *values, int count)
{
    static const int formats[] = {1, 1, 1};
    const char *data[ARRAY_COUNT(formats)];
    int sizes[ARRAY_COUNT(formats)];
    for (int i = 0; i < count; i++) {
        data[i] = values[i].size ? values[i].data : "";
        sizes[i] = (int)values[i].size;
    }
    sent(attempt, purpose, 0,
         PQsendQueryParams(attempt->connection->handle, sql, count, NULL, data, sizes, formats, 1));
}

static const struct {
    const char *name;
    enum db_write_outcome outcome;
} once_outcomes[] = {{"new", DB_WRITTEN},
                     {"before", DB_WRITTEN_BEFORE},
                     {"other", DB_WRITE_OTHER},
                     {"busy", DB_WRITE_BUSY}};

/* Opens the transaction; whether the write is to be run at all stands in *ret_written. */
static bool once_begin(struct attempt *attempt, struct db_written *ret_written,
                       struct db_failure *failure)
{
    const struct db_once *once = attempt->write->once;
    const struct span values[] = {once->key, once->body, {once->key.data, sizeof(uint64_t)}};
    send_begin(attempt);
    send_bytes(attempt, PURPOSE_ONCE,
               "SELECT kept, outcome, pg_catalog.current_setting('transaction_isolation') "
               "FROM larder.once($1::pg_catalog.bytea, $2::pg_catalog.bytea, "
               "$3::pg_catalog.int8)",
               values, ARRAY_COUNT(values));
    if (!attempt_round(attempt, failure))
        return false;
    PGresult *told = (PGresult *)reply_take(attempt, PURPOSE_ONCE);
    for (size_t i = 0; i < ARRAY_COUNT(once_outcomes); i++)
        if (span_is(first_value(told, 1), once_outcomes[i].name))
            ret_written->outcome = once_outcomes[i].outcome;
    attempt->frozen = !span_is(first_value(told, 2), "read committed");
    if (ret_written->outcome == DB_WRITTEN_BEFORE)
        ret_written->record = (struct db_result *)told;
    else
        PQclear(told);
    replies_clear(&attempt->replies);
    return true;
}

/* The answer is kept with what it answers, or both are not. */
static bool once_end(struct attempt *attempt, const struct db_written *written,
                     struct db_failure *failure)
{
    const struct db_write *write = attempt->write;
    struct span record = {0};
    if (!write->record(write->context, written->result, &record))
        return db_failure_set(failure, DB_FAILURE_MEMORY, "the answer could not be recorded");
    const struct span values[] = {write->once->key, write->once->body, record};
    replies_clear(&attempt->replies);
    if (write->identity && write->identity->role)
        send(attempt, PURPOSE_SETTING, "SET LOCAL ROLE NONE");
    send_bytes(attempt, PURPOSE_RECORD,
               "SELECT larder.once_done($1::pg_catalog.bytea, $2::pg_catalog.bytea, "
               "$3::pg_catalog.bytea)",
               values, ARRAY_COUNT(values));
    send_statement(attempt, &commit_statement, PURPOSE_COMMIT, 0);
    return attempt_round(attempt, failure);
}

static bool attempt_run(struct attempt *attempt, struct db_written *ret_written,
                        struct db_failure *failure)
{
    bool once = attempt->write->once != NULL;
    if (once && !once_begin(attempt, ret_written, failure))
        return false;
    if (ret_written->outcome != DB_WRITTEN)
        return true;
    if (!once)
        send_begin(attempt);
    send_writer(attempt);
    send_leave(attempt);
    send_identity(attempt);
    send_statements(attempt);
    if (!once)
        send_statement(attempt, &commit_statement, PURPOSE_COMMIT, 0);
    if (!attempt_round(attempt, failure) || !stayed_within(attempt, failure))
        return false;
    ret_written->result = reply_take(attempt, PURPOSE_STATEMENT);
    if (attempt->terms->tags)
        tags_take(attempt, ret_written);
    if (once && !once_end(attempt, ret_written, failure))
        return false;
    attempt->connection->writer = attempt->terms->tags;
    return true;
}

bool db_write_run(struct db_connection *connection, const struct db_write *write,
                  const struct write_terms *terms, struct db_written *ret_written,
                  enum write_again *ret_again, struct db_failure *failure)
{
    int64_t deadline = clock_monotonic() + terms->timeout + DB_GRACE;
    struct attempt attempt = {
        .connection = connection, .write = write, .terms = terms, .deadline = deadline};
    struct db_written written = {.outcome = DB_WRITTEN};
    bool done = false;
    if (!attempt_begin(&attempt))
        db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    else if (!PQenterPipelineMode(connection->handle))
        (void)!db_lost(connection, failure);
    else
        done = attempt_run(&attempt, &written, failure);
    db_pipeline_end(connection, deadline);
    if (done) {
        db_wear(connection, (PGresult *)written.result);
        *ret_written = written;
    } else {
        db_written_free(&written);
        if (failure->kind == DB_FAILURE_UNAVAILABLE && failure->sqlstate[0])
            connection->dead = true;
        *ret_again = attempt.commands ? judge(&attempt, failure) : WRITE_AGAIN_NOT;
    }
    attempt_end(&attempt);
    return done;
}
