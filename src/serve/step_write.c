/*
 * Writes: the step write.
 */
#include "base/clock.h"
#include "base/log.h"
#include "db/write.h"
#include "serve/answer.h"
#include "serve/once.h"
#include "serve/steps.h"
#include "serve/strike.h"
#include "serve/version.h"
#include "serve/write_answer.h"
#include "serve/write_failure.h"
#include "serve/write_refresh.h"

static bool is_write(const struct exchange *exchange)
{
    const struct route *route = exchange->served->route;
    return route->method != METHOD_GET && route->statement.sql.size;
}

/* A condition that nobody can judge is not held to (RFC 9110, section 13.1). */
static bool condition_refused(struct exchange *exchange)
{
    const struct request *request = &exchange->request;
    bool versions = exchange->served->route->version.column.size;
    if (versions && exchange->version_kind == VERSION_OTHER)
        version_answer(exchange);
    else if (versions && request->if_none_match.data)
        exchange_problem(exchange, 412,
                         "The route holds a change to If-Match alone: leave If-None-Match out.");
    else if (!versions && (request->if_match.data || request->if_none_match.data))
        exchange_problem(exchange, 412,
                         "The route knows no versions, so it can't hold a change to a condition: "
                         "leave If-Match and If-None-Match out.");
    return exchange->phase != PHASE_SEEKING;
}

/* What PostgreSQL has not told of can't be run: which rows answer is not known. */
static bool unknown_refused(struct exchange *exchange)
{
    const struct learned_write *write = &exchange->learned->write;
    if (write->known)
        return false;
    if (write->refused) {
        log_event(LOG_ERROR, "write", "%s: PostgreSQL did not take its statements, as was logged",
                  exchange->served->route->name);
        exchange_problem(exchange, 500, "The route's statement failed.");
    } else {
        exchange_problem(exchange, 503, "The database can't be reached.");
        exchange_header(exchange, "Retry-After", "1");
    }
    return true;
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
    if (!strike_own(exchange, &tags, &tag_count))
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    const struct db_write write = {
        .statements = answer_write(route, exchange->learned, exchange->by_param, exchange->timeout,
                                   exchange->desk->arena),
        .count = route->before_count + 1,
        .identity = exchange->identity,
        .once = once->wanted ? &once->once : NULL,
        .tags = tags,
        .tag_count = tag_count,
        .record = once_record,
        .context = exchange,
        .timeout = exchange->timeout,
    };
    if (!write.statements)
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
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
    if (!is_write(exchange) || condition_refused(exchange) || unknown_refused(exchange) ||
        !once_read(exchange, &once))
        return;
    exchange->asked = clock_monotonic();
    bool done = run(exchange, &once, &written, &failure);
    if (!exchange->unrecorded)
        count_write(exchange, clock_monotonic() - exchange->asked, done ? &written : NULL,
                    &failure);
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
