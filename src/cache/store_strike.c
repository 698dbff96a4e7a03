/*
 * Striking tags from a request.
 */
#include "base/clock.h"
#include "cache/bump.h"
#include "cache/store_base.h"

/* What Redis said to a call that began then, for the budget and the breaker. */
static bool told(struct cache_store *store, struct redis_connection *connection, bool done,
                 int64_t begun, int64_t *budget, const struct error *failure,
                 struct error *ret_event)
{
    *budget -= clock_monotonic() - begun;
    if (done)
        store_succeeded(store, connection, ret_event);
    else
        store_failed(store, 1, failure, ret_event);
    return done;
}

/* Of a caller whom the breaker allows it. */
static bool strike(struct cache_store *store, struct redis_connection *connection,
                   const struct span *tags, size_t count, int64_t *budget, uint64_t *ret_clock,
                   struct error *ret_event)
{
    struct error failure;
    int64_t begun = clock_monotonic(), clock;
    bool done = cache_bump(connection, store->settings.prefix, tags, count, begun + *budget, &clock,
                           &failure);
    if (done)
        *ret_clock = (uint64_t)clock;
    return told(store, connection, done, begun, budget, &failure, ret_event);
}

bool cache_store_strike(struct cache_store *store, struct redis_connection *connection,
                        const struct span *tags, size_t count, int64_t *budget, uint64_t *ret_clock,
                        struct error *ret_event)
{
    return store_allowed(store, 1, *budget) &&
           strike(store, connection, tags, count, budget, ret_clock, ret_event);
}

bool cache_store_strike_post(struct cache_store *store, struct redis_connection *connection,
                             const struct span *tags, size_t count, int64_t *budget,
                             struct error *ret_event)
{
    struct error failure;
    int64_t begun = clock_monotonic();
    if (!store_allowed(store, 1, *budget))
        return false;
    bool sent =
        cache_bump_post(connection, store->settings.prefix, tags, count, begun + *budget, &failure);
    *budget -= clock_monotonic() - begun;
    if (!sent)
        store_failed(store, 1, &failure, ret_event);
    return sent;
}

/* Less than this is not worth making it again, µs. */
#define AGAIN_LEAST INT64_C(1000)

/*
 * One that went wrong is made again: Redis may only not have known the script. The breaker has
 * allowed it: where the post was its probe, nothing else may be tried before Redis' word on it.
 */
bool cache_store_strike_settle(struct cache_store *store, struct redis_connection *connection,
                               const struct span *tags, size_t count, int64_t *budget,
                               uint64_t *ret_clock, struct error *ret_event)
{
    struct error failure;
    int64_t begun = clock_monotonic(), clock;
    bool done = cache_bump_settle(connection, begun + *budget, &clock, &failure);
    int64_t left = begun + *budget - clock_monotonic();
    if (!done && left >= AGAIN_LEAST) {
        *budget = left;
        return strike(store, connection, tags, count, budget, ret_clock, ret_event);
    }
    if (done)
        *ret_clock = (uint64_t)clock;
    return told(store, connection, done, begun, budget, &failure, ret_event);
}
