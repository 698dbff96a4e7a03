#include "serve/write_refresh.h"

#include "base/clock.h"
#include "base/log.h"
#include "http/target.h"
#include "serve/answer.h"
#include "serve/steps.h"
#include "serve/write_answer.h"

static void left_out(const struct exchange *exchange, struct span path, const char *why)
{
    log_event(LOG_WARNING, "write", "%s: @refreshes GET %.*s: %s", exchange->served->route->name,
              SPAN_PRINTF(path), why);
}

/* The path with its places filled; null data: a place has no value, or memory. */
static struct span path_make(const struct exchange *exchange, struct span path)
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    if (!write_path(exchange, path, &text))
        return (struct span){0};
    return arena_span(exchange->desk->arena, bytes_span(&text));
}

/* The read of this path, as if the writer had asked for it, but for a condition. False: none. */
static bool read_begin(struct exchange *exchange, struct span path, struct exchange *ret_read)
{
    struct span segments[ROUTE_SEGMENTS_MAX];
    struct error error;
    struct route_match match = {.any = false};
    size_t count;
    if (!target_segments(path, exchange->desk->arena, segments, ROUTE_SEGMENTS_MAX, &count, &error))
        return false;
    route_table_match(live_table(exchange->live), segments, count, &match);
    const struct route *route = match.by_method[METHOD_GET];
    if (!route)
        return false;
    *ret_read = exchange_for_read(exchange, route);
    ret_read->path = path;
    ret_read->match = match;
    ret_read->accept = coding_accept_parse((struct span){0});
    ret_read->request.method = SPAN_LITERAL("GET");
    ret_read->request.if_match = ret_read->request.if_none_match = (struct span){0};
    return true;
}

/* False: the writer can't ask for it, or not by its path alone. */
static bool read_fill(struct exchange *read, int64_t *budget)
{
    static step_function *const ways[] = {step_authenticate, step_bind, step_key};
    for (size_t i = 0; i < ARRAY_COUNT(ways); i++) {
        ways[i](read);
        if (read->phase != PHASE_SEEKING)
            return false;
    }
    read->redis_budget = *budget;
    if (read->asks && step_take_lease(read)) {
        steps_walk(read, PART_FILL);
        counters_add(read->server->counters, COUNTER_WRITE_THROUGH, 1);
    }
    *budget = read->redis_budget;
    return true;
}

/* What is left of the write's own time, µs: its answer waits no longer for its reads. */
static int64_t time_left(const struct exchange *exchange)
{
    return exchange->asked + exchange->timeout - clock_monotonic();
}

static void refresh(struct exchange *exchange, struct span template)
{
    struct exchange read;
    struct span path = path_make(exchange, template);
    int64_t left = time_left(exchange);
    if (left <= 0)
        left_out(exchange, template, "the write's time is over");
    else if (!path.data)
        left_out(exchange, template, "a place has no value that a path can have");
    else if (!read_begin(exchange, path, &read))
        left_out(exchange, template, "there is no such route");
    else {
        read.timeout = read.timeout < left ? read.timeout : left;
        if (!read_fill(&read, &exchange->redis_budget))
            left_out(exchange, template, "the writer can't ask for it");
        exchange_end(&read);
    }
}

/* Redis' word on what was kept: from then on any reader finds it. */
static void kept_await(struct exchange *exchange)
{
    struct error event = {0};
    if (exchange->redis_budget <= 0)
        return;
    cache_store_settle(exchange->server->store, exchange->desk->redis, exchange->redis_budget,
                       &event);
    exchange_redis_event(&event);
}

void write_refresh(struct exchange *exchange)
{
    const struct route *route = exchange->served->route;
    if (!route->refresh_count || !exchange->server->store)
        return;
    for (size_t i = 0; i < route->refresh_count; i++)
        refresh(exchange, route->refreshes[i].path);
    kept_await(exchange);
}
