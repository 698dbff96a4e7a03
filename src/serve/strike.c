#include "serve/strike.h"

#include "base/clock.h"
#include "base/log.h"
#include "cache/bump.h"
#include "serve/tags.h"

/* The tags of one write. */
struct strike {
    struct span *tags;
    uint64_t *hashes;
    size_t count;
    uint64_t transaction;
    uint32_t awaited; /* what clocks_await gave, once it is sent */
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

/* Whatever is kept of them outlives what was written. False: memory. */
static bool strike_make(struct exchange *exchange, const struct db_written *written,
                        struct strike *ret_strike)
{
    int rows = db_result_rows(written->tags);
    struct arena *arena = exchange->desk->arena;
    struct strike strike = {.transaction = written->transaction};
    struct span *own;
    size_t count;
    if (!strike_own(exchange, &own, &count))
        return false;
    strike.tags = arena_array(arena, (size_t)rows + count + 1, sizeof *strike.tags);
    strike.hashes = arena_array(arena, (size_t)rows + count + 1, sizeof *strike.hashes);
    if (!strike.tags || !strike.hashes)
        return false;
    for (int i = 0; i < rows; i++) {
        struct span tag = arena_span(arena, db_result_value(written->tags, i, 0));
        if (!tag.data)
            return false;
        strike.tags[strike.count++] = tag;
    }
    for (size_t i = 0; i < count; i++)
        if (!strike_has(&strike, own[i]))
            strike.tags[strike.count++] = own[i];
    for (size_t i = 0; i < strike.count; i++)
        strike.hashes[i] = clocks_hash(strike.tags[i]);
    *ret_strike = strike;
    return true;
}

/* Redis does not know: this host does from now on. */
static void strike_alone(struct exchange *exchange, const struct strike *strike)
{
    clocks_strike_alone(exchange->server->clocks, strike->hashes, strike->count,
                        (uint64_t)clock_wall());
    counters_add(exchange->server->counters, COUNTER_STRIKES_LEFT, 1);
}

/* Larderd need not bump the tags again. */
static void strike_told(struct exchange *exchange, const struct strike *strike, uint64_t clock)
{
    for (size_t i = 0; i < strike->count; i++)
        clocks_bump(exchange->server->clocks, strike->hashes[i], clock);
    counters_add(exchange->server->counters, COUNTER_STRUCK_TAGS, (int64_t)strike->count);
    exchange->transaction = strike->transaction;
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

/* Of the strike that was sent ahead: first what is known of it, then that nobody need wait. */
static void strike_arrive(struct exchange *exchange, bool told, uint64_t clock)
{
    const struct strike *sent = exchange->strike;
    if (told)
        strike_told(exchange, sent, clock);
    else
        strike_alone(exchange, sent);
    clocks_arrive(exchange->server->clocks, sent->hashes, sent->count, sent->awaited,
                  clock_monotonic());
    exchange->strike = NULL;
}

/* What a connection takes at once, however slow its reader is. */
#define AHEAD_MOST ((size_t)64 * 1024)

static bool is_sent_at_once(const struct exchange *exchange)
{
    const struct db_result *result = exchange->result;
    return db_result_rows(result) == 0 || db_result_value(result, 0, 0).size <= AHEAD_MOST;
}

/*
 * The answer need not wait for Redis' where all who could believe something old see that a strike
 * is awaited, for as long as it is, and where nothing but the answer is to follow.
 */
static bool may_go_ahead(const struct exchange *exchange, const struct strike *strike)
{
    return clocks_shared(exchange->server->clocks) && !exchange->served->route->refresh_count &&
           strike->count <= CACHE_BUMP_BATCH && exchange->redis_budget < CLOCKS_AWAIT_LEAST &&
           is_sent_at_once(exchange);
}

static bool strike_send(struct exchange *exchange, const struct strike *strike)
{
    struct server *server = exchange->server;
    struct strike *sent = arena_alloc(exchange->desk->arena, sizeof *sent);
    struct error event = {0};
    if (!sent)
        return strike_everywhere(exchange, strike);
    *sent = *strike;
    sent->awaited = clocks_await(server->clocks, sent->hashes, sent->count, clock_monotonic());
    exchange->strike = sent;
    bool told = cache_store_strike_post(server->store, exchange->desk->redis, sent->tags,
                                        sent->count, &exchange->redis_budget, &event);
    exchange_redis_event(&event);
    if (!told)
        strike_arrive(exchange, false, 0);
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
    if (!strike.count)
        return true;
    return may_go_ahead(exchange, &strike) ? strike_send(exchange, &strike)
                                           : strike_everywhere(exchange, &strike);
}

void strike_settle(struct exchange *exchange)
{
    const struct strike *sent = exchange->strike;
    struct error event = {0};
    uint64_t clock = 0;
    if (!sent)
        return;
    bool told =
        cache_store_strike_settle(exchange->server->store, exchange->desk->redis, sent->tags,
                                  sent->count, &exchange->redis_budget, &clock, &event);
    strike_arrive(exchange, told, clock);
    exchange_redis_event(&event);
}
