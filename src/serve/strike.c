#include "serve/strike.h"

#include "base/clock.h"
#include "base/log.h"
#include "serve/tags.h"

/* The tags of one write. */
struct strike {
    struct span *tags;
    size_t count;
};

static void invalidates_add(struct exchange *exchange, struct strike *strike)
{
    const struct route *route = exchange->served->route;
    for (size_t i = 0; i < route->invalidate_count; i++) {
        struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
        if (!tags_template(exchange, route->invalidates[i].text, &text) || text.failed)
            continue;
        struct span tag = arena_span(exchange->desk->arena, bytes_span(&text));
        if (tag.data)
            strike->tags[strike->count++] = tag;
    }
}

static void uri_add(struct exchange *exchange, struct strike *strike)
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    if (!tags_uri(exchange, &text) || !text.size || text.failed)
        return;
    struct span tag = arena_span(exchange->desk->arena, bytes_span(&text));
    if (tag.data)
        strike->tags[strike->count++] = tag;
}

bool strike_own(struct exchange *exchange, struct span **ret_tags, size_t *ret_count)
{
    struct strike own = {0};
    own.tags = arena_array(exchange->desk->arena, exchange->served->route->invalidate_count + 1,
                           sizeof *own.tags);
    if (!own.tags)
        return false;
    invalidates_add(exchange, &own);
    uri_add(exchange, &own);
    *ret_tags = own.tags;
    *ret_count = own.count;
    return true;
}

static bool strike_has(const struct strike *strike, struct span tag)
{
    for (size_t i = 0; i < strike->count; i++)
        if (span_equal(strike->tags[i], tag))
            return true;
    return false;
}

/* False: memory. */
static bool strike_make(struct exchange *exchange, const struct db_written *written,
                        struct strike *ret_strike)
{
    int rows = db_result_rows(written->tags);
    struct strike strike = {0};
    struct span *own;
    size_t count;
    if (!strike_own(exchange, &own, &count))
        return false;
    strike.tags = arena_array(exchange->desk->arena, (size_t)rows + count + 1, sizeof *strike.tags);
    if (!strike.tags)
        return false;
    for (int i = 0; i < rows; i++)
        strike.tags[strike.count++] = db_result_value(written->tags, i, 0);
    for (size_t i = 0; i < count; i++)
        if (!strike_has(&strike, own[i]))
            strike.tags[strike.count++] = own[i];
    *ret_strike = strike;
    return true;
}

/* Redis does not know: this host does from now on. */
static void strike_alone(struct exchange *exchange, const struct strike *strike)
{
    struct clocks *clocks = exchange->server->clocks;
    uint64_t now = (uint64_t)clock_wall();
    for (size_t i = 0; i < strike->count; i++) {
        uint64_t hash = clocks_hash(strike->tags[i]);
        clocks_strike_alone(clocks, &hash, 1, now);
    }
    counters_add(exchange->server->counters, COUNTER_STRIKES_LEFT, 1);
}

static void strike_told(struct exchange *exchange, const struct strike *strike, uint64_t clock)
{
    for (size_t i = 0; i < strike->count; i++)
        clocks_bump(exchange->server->clocks, clocks_hash(strike->tags[i]), clock);
    counters_add(exchange->server->counters, COUNTER_STRUCK_TAGS, (int64_t)strike->count);
}

/* In Redis, within what the request may wait for it, and then on this host. */
static bool strike_everywhere(struct exchange *exchange, const struct strike *strike)
{
    struct server *server = exchange->server;
    struct error event = {0};
    uint64_t clock;
    bool told = cache_store_strike(server->store, exchange->desk->redis, strike->tags,
                                   strike->count, &exchange->redis_budget, &clock, &event);
    if (told)
        strike_told(exchange, strike, clock);
    else
        strike_alone(exchange, strike);
    exchange_redis_event(&event);
    return told;
}

bool strike_write(struct exchange *exchange, const struct db_written *written)
{
    struct server *server = exchange->server;
    struct strike strike;
    if (!server->store)
        return false;
    exchange->redis_budget = options_number(server->options, OPTION_REDIS_TIMEOUT);
    if (!strike_make(exchange, written, &strike)) {
        log_event(LOG_ERROR, "write", "%s: out of memory: larderd bumps what was written",
                  exchange->served->route->name);
        return false;
    }
    if (strike.count && !strike_everywhere(exchange, &strike))
        return false;
    exchange->transaction = written->transaction;
    return true;
}
