/*
 * Striking tags from a request.
 */
#include "base/clock.h"
#include "cache/bump.h"
#include "cache/store_base.h"

bool cache_store_strike(struct cache_store *store, struct redis_connection *connection,
                        const struct span *tags, size_t count, int64_t *budget,
                        struct cache_bumped *ret_bumped, struct error *ret_event)
{
    struct error failure;
    int64_t begun = clock_monotonic();
    if (!store_allowed(store, 1, *budget))
        return false;
    bool done = cache_bump_telling(connection, store->settings.prefix, tags, count, begun + *budget,
                                   ret_bumped, &failure);
    *budget -= clock_monotonic() - begun;
    if (done)
        store_succeeded(store, connection, ret_event);
    else
        store_failed(store, 1, &failure, ret_event);
    return done;
}
