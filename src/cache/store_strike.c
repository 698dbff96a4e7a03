/*
 * Striking tags from a request.
 */
#include "base/clock.h"
#include "cache/bump.h"
#include "cache/store_base.h"

bool cache_store_strike(struct cache_store *store, struct redis_connection *connection,
                        const struct span *tags, size_t count, int64_t *budget, uint64_t *ret_clock,
                        struct error *ret_event)
{
    struct error failure;
    int64_t begun = clock_monotonic(), clock;
    if (!store_allowed(store, 1, *budget))
        return false;
    bool done = cache_bump(connection, store->settings.prefix, tags, count, begun + *budget, &clock,
                           &failure);
    *budget -= clock_monotonic() - begun;
    if (done) {
        store_succeeded(store, connection, ret_event);
        *ret_clock = (uint64_t)clock;
    } else {
        store_failed(store, 1, &failure, ret_event);
    }
    return done;
}
