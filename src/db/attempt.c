#include "db/attempt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "db/prepared.h"

bool attempt_begin(struct attempt *attempt, struct db_connection *connection, int64_t timeout,
                   size_t most, struct db_failure *failure)
{
    *attempt = (struct attempt){.connection = connection,
                                .timeout = timeout,
                                .deadline = clock_monotonic() + timeout + DB_GRACE,
                                .commands = calloc(most, sizeof *attempt->commands)};
    attempt->replies.results = calloc(most, sizeof *attempt->replies.results);
    if (!attempt->commands || !attempt->replies.results)
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    return PQenterPipelineMode(connection->handle) ? true : db_lost(connection, failure);
}

void attempt_clear(struct attempt *attempt)
{
    struct db_replies *replies = &attempt->replies;
    for (size_t i = 0; i < replies->done; i++)
        PQclear(replies->results[i]);
    *replies = (struct db_replies){
        .results = replies->results, .taken = replies->taken, .context = replies->context};
    attempt->commit = 0;
}

void attempt_end(struct attempt *attempt)
{
    db_pipeline_end(attempt->connection, attempt->deadline);
    if (attempt->replies.results)
        attempt_clear(attempt);
    free(attempt->replies.results);
    free(attempt->commands);
}

static void sent(struct attempt *attempt, enum purpose purpose, size_t statement, int success)
{
    attempt->commands[attempt->replies.count++] =
        (struct attempt_command){.purpose = purpose, .statement = statement, .item = attempt->item};
    attempt->failed = attempt->failed || !success;
}

void attempt_send_values(struct attempt *attempt, enum purpose purpose, const char *sql, int count,
                         const char *const *values)
{
    sent(attempt, purpose, 0,
         PQsendQueryParams(attempt->connection->handle, sql, count, NULL, values, NULL, NULL, 0));
}

void attempt_send(struct attempt *attempt, enum purpose purpose, const char *sql)
{
    attempt_send_values(attempt, purpose, sql, 0, NULL);
}

void attempt_send_bytes(struct attempt *attempt, enum purpose purpose, const char *sql,
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

/* A session of our own stays as it is set, once the transaction that set it has committed. */
void attempt_send_writer(struct attempt *attempt, bool writer)
{
    attempt->writer = writer;
    if (attempt->connection->settings->transaction_pooling) {
        if (writer)
            attempt_send(attempt, PURPOSE_SETTING, "SET LOCAL larder.struck = '0'");
    } else if (writer != attempt->connection->writer) {
        attempt_send(attempt, PURPOSE_SETTING,
                     writer ? "SET larder.struck = '0'" : "SET larder.struck = ''");
    }
}

void attempt_send_identity(struct attempt *attempt, const struct db_identity *identity)
{
    if (!identity)
        return;
    if (identity->claims)
        attempt_send_values(attempt, PURPOSE_IDENTITY,
                            "SELECT pg_catalog.set_config('request.jwt.claims', $1, true)", 1,
                            &identity->claims);
    if (identity->role)
        attempt_send_values(attempt, PURPOSE_IDENTITY,
                            "SELECT pg_catalog.set_config('role', " DB_ROLE_SQL ", true)", 1,
                            &identity->role);
}

void attempt_send_no_identity(struct attempt *attempt)
{
    attempt_send(attempt, PURPOSE_SETTING,
                 "SELECT pg_catalog.set_config('role', 'none', true),"
                 " pg_catalog.set_config('request.jwt.claims', NULL, true)");
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
        sent(attempt, purpose == PURPOSE_STATEMENT ? PURPOSE_PREPARE : purpose, number,
             PQsendPrepare(handle, name, statement->sql, statement->parameter_count,
                           statement->types));
        attempt->commands[attempt->replies.count - 1].prepared = statement->id;
    }
    sent(attempt, purpose, number,
         PQsendQueryPrepared(handle, name, statement->parameter_count, statement->values, NULL,
                             NULL, 0));
}

void attempt_send_statement(struct attempt *attempt, const struct db_statement *statement,
                            enum purpose purpose, size_t number)
{
    if (purpose == PURPOSE_STATEMENT) {
        attempt->connection->drawn = true;
        attempt->connection->touched = attempt->connection->touched || !statement->plain;
    }
    if (!attempt->connection->settings->transaction_pooling)
        send_prepared(attempt, statement, purpose, number);
    else
        sent(attempt, purpose, number,
             PQsendQueryParams(attempt->connection->handle, statement->sql,
                               statement->parameter_count, statement->types, statement->values,
                               NULL, NULL, 0));
}

/* Those of every write: prepared once, they need no parsing and little more. */
static const struct db_statement begin_statement = {.id = UINT64_C(0x6c61726465726d11),
                                                    .sql = "BEGIN READ WRITE"};
static const struct db_statement constraints_statement = {.id = UINT64_C(0x6c61726465726d12),
                                                          .sql = "SET CONSTRAINTS ALL IMMEDIATE"};
static const struct db_statement commit_statement = {.id = UINT64_C(0x6c61726465726d13),
                                                     .sql = "COMMIT"};

/* How much longer than it may a statement can take, for want of a word to PostgreSQL, µs. */
#define LIMIT_SLACK INT64_C(50000)

/* Is the session's own limit about right for what time is left? */
static bool limit_fits(const struct attempt *attempt)
{
    int64_t more = attempt->connection->session_timeout - attempt->timeout;
    return more >= 0 && more < LIMIT_SLACK;
}

/* The session's own limit is left as it is: a write knows only how much time is left. */
void attempt_send_begin(struct attempt *attempt)
{
    char limit[80];
    attempt_send_statement(attempt, &begin_statement, PURPOSE_BEGIN, 0);
    if (!attempt->connection->settings->transaction_pooling && limit_fits(attempt))
        return;
    snprintf(limit, sizeof limit, "SET LOCAL statement_timeout = %" PRId64,
             db_milliseconds(attempt->timeout));
    attempt_send(attempt, PURPOSE_SETTING, limit);
}

/* Prepared: to parse and plan it each time took longer than many a statement that it is for. */
static const struct db_statement time_left_statement = {
    .id = UINT64_C(0x6c61726465726d2a),
    .sql = "SELECT pg_catalog.set_config('statement_timeout', GREATEST(1, $1::int8"
           " - 1000 * EXTRACT(EPOCH FROM pg_catalog.clock_timestamp()"
           " - pg_catalog.transaction_timestamp()))::int8::text, true)",
    .parameter_count = 1};

void attempt_send_time_left(struct attempt *attempt)
{
    struct db_statement statement = time_left_statement;
    char limit[32];
    snprintf(limit, sizeof limit, "%" PRId64, db_milliseconds(attempt->timeout));
    statement.values = (const char *const[]){limit};
    attempt_send_statement(attempt, &statement, PURPOSE_SETTING, 0);
}

void attempt_send_flush(struct attempt *attempt)
{
    attempt->failed = attempt->failed || !PQsendFlushRequest(attempt->connection->handle);
}

void attempt_send_constraints(struct attempt *attempt)
{
    attempt_send_statement(attempt, &constraints_statement, PURPOSE_CONSTRAINTS, 0);
}

/*
 * What DISCARD ALL does, but for what was prepared. Together it takes about 15 µs of PostgreSQL's
 * time; looking whether there is anything to be taken out (pg_settings) would take half a
 * millisecond.
 */
static const struct db_statement resets[] = {
    {.id = UINT64_C(0x6c61726465726d21), .sql = "CLOSE ALL"},
    {.id = UINT64_C(0x6c61726465726d22), .sql = "RESET SESSION AUTHORIZATION"},
    {.id = UINT64_C(0x6c61726465726d23), .sql = "RESET ROLE"},
    {.id = UINT64_C(0x6c61726465726d24), .sql = "RESET ALL"},
    {.id = UINT64_C(0x6c61726465726d25), .sql = "UNLISTEN *"},
    {.id = UINT64_C(0x6c61726465726d26), .sql = "DISCARD TEMP"},
};
static const struct db_statement sequences_statement = {.id = UINT64_C(0x6c61726465726d27),
                                                        .sql = "DISCARD SEQUENCES"};
static const struct db_statement unlock_statement = {.id = UINT64_C(0x6c61726465726d28),
                                                     .sql = db_unlock_sql};
static const struct db_statement settle_statement = {
    .id = UINT64_C(0x6c61726465726d29),
    .sql = "SELECT pg_catalog.pg_advisory_unlock_all(),"
           " pg_catalog.set_config('statement_timeout', $1, false),"
           " pg_catalog.set_config('larder.struck', $2, false)",
    .parameter_count = 2};

_Static_assert(2 * (ARRAY_COUNT(resets) + 2) <= ATTEMPT_RESET_COMMANDS, "each with its preparing");

/* By lastval() and currval() whoever comes next would be told of the rows of who was before. */
static void send_no_sequences(struct attempt *attempt)
{
    attempt->discards = true;
    attempt_send_statement(attempt, &sequences_statement, PURPOSE_RESET, 0);
}

/* A session of our own keeps what Larder itself has set. */
static void send_reset(struct attempt *attempt)
{
    const struct db_connection *connection = attempt->connection;
    char limit[32];
    attempt->resets = true;
    for (size_t i = 0; i < ARRAY_COUNT(resets); i++)
        attempt_send_statement(attempt, &resets[i], PURPOSE_RESET, 0);
    send_no_sequences(attempt);
    if (connection->settings->transaction_pooling) {
        attempt_send_statement(attempt, &unlock_statement, PURPOSE_RESET, 0);
        return;
    }
    struct db_statement settle = settle_statement;
    snprintf(limit, sizeof limit, "%" PRId64, db_milliseconds(connection->session_timeout));
    settle.values = (const char *const[]){limit, attempt->writer ? "0" : ""};
    attempt_send_statement(attempt, &settle, PURPOSE_RESET, 0);
}

/* No more than is needed. */
static void send_clean(struct attempt *attempt)
{
    if (attempt->connection->touched)
        send_reset(attempt);
    else if (attempt->connection->drawn)
        send_no_sequences(attempt);
}

void attempt_send_commit(struct attempt *attempt)
{
    attempt_send_statement(attempt, &commit_statement, PURPOSE_COMMIT, 0);
    attempt->commit = attempt->replies.count;
    send_clean(attempt);
}

bool attempt_reset(struct db_connection *connection, int64_t timeout)
{
    struct attempt attempt;
    struct db_failure failure;
    bool done = attempt_begin(&attempt, connection, timeout, ATTEMPT_RESET_COMMANDS, &failure);
    attempt.writer = connection->writer;
    if (done) {
        send_clean(&attempt);
        done = attempt_round(&attempt, &failure);
    }
    attempt_end(&attempt);
    return done && !connection->dead;
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
    if (!attempt->commit)
        return true;
    return replies->refused && !is_hearsay(failure) &&
           !(replies->fatal && replies->done + 1 == attempt->commit);
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

/* May functions and triggers of the application's own be what refused? */
static bool is_applications(enum purpose purpose)
{
    return purpose == PURPOSE_PREPARE || purpose == PURPOSE_STATEMENT ||
           purpose == PURPOSE_CONSTRAINTS || purpose == PURPOSE_COMMIT;
}

/* A refusal of one of the write's own commands is another thing than one of a statement. */
static void explain_purpose(enum purpose purpose, struct db_failure *failure)
{
    if (!is_applications(purpose))
        failure->raised = 0;
    if (purpose == PURPOSE_IDENTITY && failure->kind == DB_FAILURE_VALUE)
        failure->kind = DB_FAILURE_FORBIDDEN; /* there is no such role */
    if (purpose == PURPOSE_BEGIN && strcmp(failure->sqlstate, "0A000") == 0)
        failure->kind = DB_FAILURE_READ_ONLY; /* a standby sets no transaction read-write */
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
    if (refused == PURPOSE_BEGIN && failure->kind == DB_FAILURE_READ_ONLY)
        return WRITE_AGAIN_ELSEWHERE;
    if (refused == PURPOSE_TAGS && is_uninstalled(failure))
        return WRITE_AGAIN_TAGLESS;
    if (failure->kind == DB_FAILURE_CONSTRAINT && attempt->frozen)
        return WRITE_AGAIN_LOOK;
    if (failure->kind == DB_FAILURE_STALE)
        return WRITE_AGAIN_ANEW;
    return failure->kind == DB_FAILURE_RETRY ? WRITE_AGAIN_LATER : WRITE_AGAIN_NOT;
}

enum write_again attempt_failed(struct attempt *attempt, const struct db_failure *failure)
{
    if (!attempt->commands || !attempt->replies.results)
        return WRITE_AGAIN_NOT;
    db_pipeline_end(attempt->connection, attempt->deadline);
    if (failure->kind == DB_FAILURE_UNAVAILABLE && failure->sqlstate[0])
        attempt->connection->dead = true;
    return judge(attempt, failure);
}

static void explain(const struct attempt *attempt, struct db_failure *failure)
{
    const struct attempt_command *command = &attempt->commands[attempt->replies.done];
    if (!certainly_undone(attempt, failure)) {
        failure->kind = DB_FAILURE_UNKNOWN;
        failure->raised = 0;
        return;
    }
    if (!attempt->replies.refused)
        return;
    failure->statement = command->statement;
    explain_purpose(command->purpose, failure);
}

/* What went wrong behind the COMMIT's reply is the connection's matter alone. */
static bool settled(struct attempt *attempt, bool done)
{
    bool committed = attempt->commit && attempt->replies.done >= attempt->commit;
    if (done && attempt->resets)
        attempt->connection->touched = false;
    if (done && attempt->discards)
        attempt->connection->drawn = false;
    if (committed && !done)
        attempt->connection->dead = true;
    return done || committed;
}

bool attempt_round(struct attempt *attempt, struct db_failure *failure)
{
    bool done = false;
    if (attempt->failed || !PQpipelineSync(attempt->connection->handle))
        (void)!db_lost(attempt->connection, failure);
    else
        done = db_round_collect(attempt->connection, attempt->deadline, &attempt->replies, failure);
    remember_prepared(attempt);
    done = settled(attempt, done);
    if (!done)
        explain(attempt, failure);
    return done;
}

struct db_result *attempt_take(struct attempt *attempt, enum purpose purpose, size_t item)
{
    for (size_t i = attempt->replies.done; i-- > 0;)
        if (attempt->commands[i].purpose == purpose && attempt->commands[i].item == item) {
            PGresult *result = attempt->replies.results[i];
            attempt->replies.results[i] = NULL;
            return (struct db_result *)result;
        }
    return NULL;
}

/* Commands that take a statement out of the transaction that it is to be a part of. */
static const char *const transaction_ends[] = {"COMMIT", "ROLLBACK", "PREPARE TRANSACTION"};

bool attempt_stayed_within(const struct attempt *attempt, struct db_failure *failure)
{
    for (size_t i = 0; i < attempt->replies.done; i++) {
        const char *status = PQcmdStatus(attempt->replies.results[i]);
        for (size_t j = 0; j < ARRAY_COUNT(transaction_ends); j++)
            if (attempt->commands[i].purpose == PURPOSE_STATEMENT &&
                strcmp(status, transaction_ends[j]) == 0)
                return db_failure_set(failure, DB_FAILURE_STATEMENT,
                                      "a statement of the write ends its transaction: %s", status);
    }
    return true;
}
