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
    uint32_t awaited; /* what clocks_await gave, where the answer goes first */
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

static void strike_add(struct strike *strike, struct span tag)
{
    uint64_t hash = clocks_hash(tag);
    for (size_t i = 0; i < strike->count; i++)
        if (strike->hashes[i] == hash && span_equal(strike->tags[i], tag))
            return;
    strike->tags[strike->count] = tag;
    strike->hashes[strike->count++] = hash;
}

/* Whatever is kept of them outlives what was written. False: memory. */
static bool strike_make(struct exchange *exchange, const struct db_written *written,
                        struct strike *ret_strike)
{
    struct arena *arena = exchange->desk->arena;
    struct strike strike = {.transaction = written->struck.transaction};
    struct span *own, lines = {0};
    size_t count;
    if (written->struck.tags.data)
        lines = arena_span(arena, written->struck.tags);
    if ((written->struck.tags.data && !lines.data) || !strike_own(exchange, &own, &count))
        return false;
    size_t most = span_parts(lines, '\n') + count + 1;
    strike.tags = arena_array(arena, most, sizeof *strike.tags);
    strike.hashes = arena_array(arena, most, sizeof *strike.hashes);
    if (!strike.tags || !strike.hashes)
        return false;
    while (lines.data)
        strike_add(&strike, span_split(&lines, '\n'));
    for (size_t i = 0; i < count; i++)
        strike_add(&strike, own[i]);
    *ret_strike = strike;
    return true;
}

/* Above all that this host keeps. */
static void strike_alone(struct exchange *exchange, const struct strike *strike)
{
    clocks_strike_alone(exchange->server->clocks, strike->hashes, strike->count,
                        (uint64_t)clock_wall());
}

/* Larderd need not bump the tags again. */
static void strike_told(struct exchange *exchange, const struct strike *strike,
                        const struct cache_bumped *bumped)
{
    cache_bumped_tell(bumped, exchange->server->clocks, strike->hashes, strike->count);
    counters_add(exchange->server->counters, COUNTER_STRUCK_TAGS, (int64_t)strike->count);
    exchange->transaction = strike->transaction;
}

/*
 * In Redis, within what the request may wait for it, and then on this host. The number of a Redis
 * that was emptied, or of a replica in its place, may be below what is kept here.
 */
static bool strike_everywhere(struct exchange *exchange, const struct strike *strike)
{
    struct server *server = exchange->server;
    struct error event = {0};
    struct cache_bumped bumped = {0};
    uint64_t known = clocks_known(server->clocks);
    bool told = cache_store_strike(server->store, exchange->desk->redis, strike->tags,
                                   strike->count, &exchange->redis_budget, &bumped, &event);
    if (!told || (uint64_t)bumped.clock <= known)
        strike_alone(exchange, strike);
    if (told)
        strike_told(exchange, strike, &bumped);
    else
        counters_add(server->counters, COUNTER_STRIKES_LEFT, 1);
    exchange_redis_event(&event);
    return told;
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

static bool strike_later(struct exchange *exchange, const struct strike *strike)
{
    struct strike *later = arena_alloc(exchange->desk->arena, sizeof *later);
    if (!later)
        return strike_everywhere(exchange, strike);
    *later = *strike;
    later->awaited =
        clocks_await(exchange->server->clocks, later->hashes, later->count, clock_monotonic());
    exchange->strike = later;
    return true;
}

bool strike_write(struct exchange *exchange, const struct db_written *written)
{
    struct server *server = exchange->server;
    struct strike strike;
    if (!server->store)
        return false;
    exchange->redis_budget =
        options_number(server->options, OPTION_REDIS_TIMEOUT) - exchange->redis_waited;
    if (!strike_make(exchange, written, &strike)) {
        log_event(LOG_ERROR, "write", "%s: out of memory: larderd bumps what was written",
                  exchange->served->route->name);
        return false;
    }
    if (!strike.count)
        return true;
    return may_go_ahead(exchange, &strike) ? strike_later(exchange, &strike)
                                           : strike_everywhere(exchange, &strike);
}

/* First what is known of the strike, then that nobody need wait for it. */
void strike_settle(struct exchange *exchange)
{
    const struct strike *strike = exchange->strike;
    if (!strike)
        return;
    strike_everywhere(exchange, strike);
    clocks_arrive(exchange->server->clocks, strike->hashes, strike->count, strike->awaited,
                  clock_monotonic());
    exchange->strike = NULL;
}
