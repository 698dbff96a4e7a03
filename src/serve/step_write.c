/*
 * Writes: the step write.
 */
#include "base/clock.h"
#include "base/log.h"
#include "db/write.h"
#include "serve/answer.h"
#include "serve/learning.h"
#include "serve/once.h"
#include "serve/steps.h"
#include "serve/strike.h"
#include "serve/write_answer.h"
#include "serve/write_failure.h"
#include "serve/write_ready.h"
#include "serve/write_refresh.h"

static bool is_write(const struct exchange *exchange)
{
    const struct route *route = exchange->served->route;
    return route->method != METHOD_GET && route->statement.sql.size;
}

/* `written` is null after a failure. */
static void count_write(struct exchange *exchange, int64_t duration,
                        const struct db_written *written, const struct db_failure *failure)
{
    struct counters *counters = exchange->server->counters;
    if (failure->kind == DB_FAILURE_BUSY)
        return; /* no statement ran */
    counters_query(exchange->counters, duration);
    if (!written)
        counters_add(
            counters,
            failure->kind == DB_FAILURE_UNKNOWN ? COUNTER_WRITE_UNKNOWN : COUNTER_WRITE_ERRORS, 1);
    else if (written->outcome == DB_WRITTEN)
        counters_add(counters, COUNTER_WRITES, 1);
}

static bool run(struct exchange *exchange, const struct once *once, struct db_written *ret_written,
                struct db_failure *failure)
{
    const struct route *route = exchange->served->route;
    struct span *tags = NULL;
    size_t tag_count = 0;
    struct db_statement *statements = answer_write(route, exchange->learned, exchange->by_param,
                                                   exchange->timeout, exchange->desk->arena);
    if (!statements || !strike_own(exchange, &tags, &tag_count))
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    const struct db_write write = {
        .statements = statements,
        .count = route->before_count + 1,
        .identity = exchange->identity,
        .once = once->wanted ? &once->once : NULL,
        .tags = tags,
        .tag_count = tag_count,
        .record = once_record,
        .context = exchange,
        .timeout = exchange->timeout,
    };
    if (learning_is_plain(exchange->server, exchange->live, exchange->learned))
        answer_plain(route, statements);
    return db_pool_write(exchange->server->pool, &write, ret_written, failure);
}

/* It is committed: whatever happens from here on, the answer says so. */
static void written_take(struct exchange *exchange, struct db_written *written)
{
    exchange->tier = TIER_DATABASE;
    exchange->result = written->result;
    written->result = NULL;
    bool struck = strike_write(exchange, written);
    write_answer(exchange);
    if (struck && exchange->status < 300)
        write_refresh(exchange);
}

void step_write(struct exchange *exchange)
{
    struct db_written written = {0};
    struct db_failure failure = {0};
    struct once once;
    if (!is_write(exchange) || !write_ready(exchange) || !once_read(exchange, &once))
        return;
    exchange->asked = clock_monotonic();
    bool done = run(exchange, &once, &written, &failure);
    int64_t lasted = clock_monotonic() - exchange->asked;
    atomic_store_explicit(&exchange->served->lasted, lasted, memory_order_relaxed);
    if (!exchange->unrecorded)
        count_write(exchange, lasted, done ? &written : NULL, &failure);
    if (done && written.outcome != DB_WRITTEN)
        once_answer(exchange, &written);
    else if (done)
        written_take(exchange, &written);
    else if (exchange->unrecorded)
        write_answer_missing(exchange);
    else
        write_failure_answer(exchange, &failure);
    db_written_free(&written);
}
