#include "db/batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "db/again.h"
#include "db/array.h"
#include "db/pool_use.h"
#include "db/struck.h"
#include "db/write_known.h"

/* Beside the items: what opens, closes and resets, with its preparing. */
#define COMMANDS_AROUND (23 + ATTEMPT_RESET_COMMANDS)
#define COMMANDS_EACH 3 /* an item's own: its identity */
#define COMMANDS_STATEMENT 3

static const struct db_statement leave_statement = {
    .id = UINT64_C(0x6c61726465726d03), .sql = "SELECT larder.leave($1)", .parameter_count = 1};

/*
 * How it is isolated. A process that stops within it is not waited for by others for long. Whoever
 * hears that it committed forgets what was asked for, so a crash must not take it back, whatever
 * the server's own setting is.
 */
static const char look_sql[] =
    "SELECT pg_catalog.current_setting('transaction_isolation'),"
    " CASE pg_catalog.current_setting('synchronous_commit') WHEN 'off'"
    " THEN pg_catalog.set_config('synchronous_commit', 'local', true) END,"
    " pg_catalog.set_config('idle_in_transaction_session_timeout', '10s', true)";

struct batching {
    struct db_pool *pool;
    const struct db_batch *batch;
    struct attempt attempt;
    bool *wanted;
    struct db_result **results;
    bool writer; /* the triggers leave the tags to this transaction */
    struct db_struck struck;
    struct span *own; /* the tags of all that ran */
    size_t own_count;
    int64_t limit; /* µs, the statement_timeout as it is now */
    size_t failed_item;
};

static size_t commands_most(const struct db_batch *batch)
{
    size_t most = COMMANDS_AROUND;
    for (size_t i = 0; i < batch->count; i++)
        most += COMMANDS_EACH + COMMANDS_STATEMENT * batch->items[i].count;
    return most;
}

static bool memory(struct db_failure *failure)
{
    return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
}

static bool batch_choose(struct batching *batching, struct db_failure *failure)
{
    const struct db_batch *batch = batching->batch;
    struct attempt *attempt = &batching->attempt;
    struct db_result *isolation = attempt_take(attempt, PURPOSE_ISOLATION, batch->count);
    struct db_result *rows = attempt_take(attempt, PURPOSE_ONCE, batch->count);
    attempt->frozen = !span_is(db_result_value(isolation, 0, 0), "read committed");
    for (size_t i = 0; i < batch->count; i++)
        batching->wanted[i] = true;
    bool chosen = !batch->choose || batch->choose(batch->context, rows, batching->wanted);
    db_result_free(isolation);
    db_result_free(rows);
    attempt_clear(attempt);
    return chosen ? true : memory(failure);
}

/* Opens the transaction; what is to be run stands in `wanted`. */
static bool batch_open(struct batching *batching, struct db_failure *failure)
{
    const struct db_batch *batch = batching->batch;
    struct attempt *attempt = &batching->attempt;
    attempt->item = batch->count;
    attempt_send_begin(attempt);
    attempt_send_writer(attempt, batching->writer);
    attempt_send(attempt, PURPOSE_ISOLATION, look_sql);
    if (batch->open.sql)
        attempt_send_statement(attempt, &batch->open, PURPOSE_ONCE, 0);
    if (attempt_round(attempt, failure))
        return batch_choose(batching, failure);
    if (failure->kind == DB_FAILURE_TIMEOUT && failure->sqlstate[0])
        failure->kind = DB_FAILURE_BUSY;
    return false;
}

/* Each statement's own limit, but no more than the batch has. */
static void send_limit(struct batching *batching, int64_t limit)
{
    char sql[80];
    int64_t most = batching->attempt.timeout;
    limit = limit <= 0 || limit > most ? most : limit;
    if (limit == batching->limit)
        return;
    snprintf(sql, sizeof sql, "SET LOCAL statement_timeout = %" PRId64, db_milliseconds(limit));
    attempt_send(&batching->attempt, PURPOSE_SETTING, sql);
    batching->limit = limit;
}

/* Whatever the item before it set of these is reset, identity or not. */
static void send_item(struct batching *batching, size_t number, bool first)
{
    const struct db_batch_item *item = &batching->batch->items[number];
    struct attempt *attempt = &batching->attempt;
    if (!first)
        attempt_send_no_identity(attempt);
    attempt->item = number;
    attempt_send_identity(attempt, item->identity);
    for (size_t i = 0; i < item->count; i++) {
        if (i > 0 && batching->batch->count == 1)
            attempt_send_time_left(attempt);
        else
            send_limit(batching, item->statements[i].timeout);
        attempt_send_statement(attempt, &item->statements[i], PURPOSE_STATEMENT, i);
        if (batching->batch->made && i + 1 < item->count)
            attempt_send_flush(attempt);
    }
    attempt->item = batching->batch->count;
}

static void statement_made(void *context)
{
    const struct batching *batching = context;
    const struct attempt *attempt = &batching->attempt;
    const struct attempt_command *command = &attempt->commands[attempt->replies.done - 1];
    if (command->purpose == PURPOSE_STATEMENT)
        batching->batch->made(batching->batch->context, command->item, command->statement + 1);
}

/* What is deferred strikes here, where it can still be told. */
static bool batch_items(struct batching *batching, struct db_failure *failure)
{
    struct attempt *attempt = &batching->attempt;
    size_t sent = 0;
    for (size_t i = 0; i < batching->batch->count; i++)
        if (batching->wanted[i])
            send_item(batching, i, sent++ == 0);
    if (sent == 0)
        return true;
    attempt_send_constraints(attempt);
    attempt_send_no_identity(attempt);
    if (!attempt_round(attempt, failure) || !attempt_stayed_within(attempt, failure))
        return false;
    for (size_t i = 0; i < batching->batch->count; i++)
        if (batching->wanted[i])
            batching->results[i] = attempt_take(attempt, PURPOSE_STATEMENT, i);
    attempt_clear(attempt);
    return true;
}

/* The tags of all that ran. False: memory. */
static bool own_gather(struct batching *batching)
{
    const struct db_batch *batch = batching->batch;
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++)
        count += batching->wanted[i] ? batch->items[i].tag_count : 0;
    free(batching->own);
    batching->own_count = 0;
    batching->own = calloc(count + 1, sizeof *batching->own);
    for (size_t i = 0; batching->own && i < batch->count; i++)
        for (size_t j = 0; batching->wanted[i] && j < batch->items[i].tag_count; j++)
            batching->own[batching->own_count++] = batch->items[i].tags[j];
    return batching->own != NULL;
}

static bool batch_close(struct batching *batching, struct db_failure *failure)
{
    const struct db_batch *batch = batching->batch;
    struct attempt *attempt = &batching->attempt;
    struct db_statement close = {0}, leave = leave_statement;
    char *tags = NULL;
    if ((batch->close && !batch->close(batch->context, batching->results, &close)) ||
        !own_gather(batching) ||
        (batching->own_count && !(tags = db_array_text(batching->own, batching->own_count))))
        return memory(failure);
    send_limit(batching, attempt->timeout);
    leave.values = (const char *const *)&tags;
    if (tags)
        attempt_send_statement(attempt, &leave, PURPOSE_RECORD, 0);
    if (close.sql)
        attempt_send_statement(attempt, &close, PURPOSE_RECORD, 0);
    if (batching->writer)
        struck_ask(attempt);
    attempt_send_commit(attempt);
    bool done = attempt_round(attempt, failure);
    free(tags);
    if (!done)
        return false;
    if (batching->writer) {
        batching->struck = struck_take(attempt);
        struck_complete(attempt, &batching->struck);
    }
    attempt->connection->writer = attempt->writer;
    return true;
}

static void results_clear(struct batching *batching)
{
    for (size_t i = 0; i < batching->batch->count; i++) {
        db_result_free(batching->results[i]);
        batching->results[i] = NULL;
    }
}

static bool run(void *context, struct db_connection *connection, int64_t timeout,
                enum write_again *ret_again, struct db_failure *failure)
{
    struct batching *batching = context;
    const struct db_batch *batch = batching->batch;
    struct attempt *attempt = &batching->attempt;
    bool leave;
    batching->limit = timeout;
    if (batch->strike)
        write_known_tags(db_pool_known(batching->pool), connection, &batching->writer, &leave);
    db_stop_begin(batch->stop, connection);
    bool done = attempt_begin(attempt, connection, timeout, commands_most(batch), failure);
    if (batch->made) {
        attempt->replies.taken = statement_made;
        attempt->replies.context = batching;
    }
    done = done && batch_open(batching, failure) && batch_items(batching, failure) &&
           batch_close(batching, failure);
    db_stop_end(batch->stop);
    if (!done) {
        batching->failed_item =
            attempt->replies.refused ? attempt->commands[attempt->replies.done].item : batch->count;
        *ret_again = attempt_failed(attempt, failure);
    }
    for (size_t i = 0; i < batch->count; i++)
        db_wear(connection, (const PGresult *)batching->results[i]);
    results_clear(batching);
    attempt_end(attempt);
    return done;
}

static void strike(const struct batching *batching)
{
    if (batching->struck.transaction || batching->struck.tags.size)
        batching->batch->strike(batching->batch->context, &batching->struck, batching->own,
                                batching->own_count);
}

bool db_batch_run(struct db_pool *pool, const struct db_batch *batch, size_t *ret_failed_item,
                  struct db_failure *failure)
{
    struct batching batching = {.pool = pool, .batch = batch, .failed_item = batch->count};
    const struct again again = {
        .pool = pool, .timeout = batch->timeout, .run = run, .context = &batching};
    batching.wanted = calloc(batch->count + 1, sizeof *batching.wanted);
    batching.results = calloc(batch->count + 1, sizeof(struct db_result *));
    bool done = batching.wanted && batching.results ? again_run(&again, failure) : memory(failure);
    free(batching.wanted);
    free(batching.results);
    if (done)
        strike(&batching);
    else
        *ret_failed_item = batching.failed_item;
    free(batching.own);
    struck_free(&batching.struck);
    return done;
}
