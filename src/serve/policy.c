#include "serve/policy.h"

#include <math.h>

#include "base/clock.h"
#include "db/depends.h"
#include "serve/feed.h"
#include "serve/learning.h"

bool policy_caches(const struct exchange *exchange)
{
    return exchange->served->route->cache.present && exchange->server->store &&
           options_number(exchange->server->options, OPTION_CACHE);
}

bool policy_uses_memory(const struct exchange *exchange)
{
    return exchange->server->memory && exchange->served->route->cache.l1;
}

static bool small_enough(const struct exchange *exchange)
{
    return exchange->bodies[CODING_IDENTITY].size <=
           (uint64_t)options_number(exchange->server->options, OPTION_ENTRY_MAX);
}

bool policy_keeps(const struct exchange *exchange)
{
    return policy_caches(exchange) && exchange->meta.ttl > 0 && exchange->meta.tag_count > 0 &&
           small_enough(exchange);
}

/* A Redis that just failed this request is not asked a second time by it. */
bool policy_stores(const struct exchange *exchange)
{
    return policy_keeps(exchange) && exchange->lookup.lease.held && !exchange->redis_failed;
}

static int64_t guard(const struct exchange *exchange)
{
    return options_number(exchange->server->options, OPTION_GUARD_TTL);
}

bool policy_hears(const struct exchange *exchange, uint64_t clock)
{
    const struct feed *feed = exchange->server->feed;
    return feed_floor(feed) <= clock && feed_beats(feed, exchange->started);
}

/*
 * Asked in this order, the number of a strike that arrives meanwhile is seen by the second.
 */
static bool unstruck(const struct clocks *clocks, const uint64_t *hashes, size_t count,
                     uint64_t clock)
{
    return !clocks_awaits(clocks, hashes, count, clock_monotonic()) &&
           clocks_fresh(clocks, hashes, count, clock);
}

bool policy_fresh(const struct exchange *exchange, const struct kept *kept)
{
    const struct server *server = exchange->server;
    int64_t age = exchange->now - kept_created(kept);
    size_t count;
    const uint64_t *hashes = kept_hashes(kept, &count);
    if (age >= kept_ttl(kept) || !unstruck(server->clocks, hashes, count, kept_clock(kept)))
        return false;
    /* One made by a clock ahead of this host's has an age nobody knows. */
    return policy_hears(exchange, kept_clock(kept)) || (age >= 0 && age < guard(exchange));
}

/*
 * Up to where the tags of what Redis holds have been compared with all that it was told of. Slots
 * are compared with that rather than with the entry's clock: the longer an entry lives the surer
 * does it share one with a tag that was struck since.
 */
static uint64_t judged_up_to(const struct store_query *lookup)
{
    uint64_t clock = lookup->found.meta.clock;
    return lookup->outcome == STORE_HIT && lookup->clock > clock ? lookup->clock : clock;
}

bool policy_struck_alone(const struct exchange *exchange)
{
    const struct clocks *clocks = exchange->server->clocks;
    const struct entry_meta *meta = &exchange->lookup.found.meta;
    uint64_t hashes[ENTRY_TAGS_MAX];
    for (size_t i = 0; i < meta->tag_count; i++)
        hashes[i] = clocks_hash(meta->tags[i]);
    if (clocks_awaits(clocks, hashes, meta->tag_count, clock_monotonic()))
        return true;
    if ((int64_t)clocks_alone(clocks) + guard(exchange) >= exchange->now)
        return !clocks_fresh(clocks, hashes, meta->tag_count, meta->clock);
    return clocks_arrived(clocks, exchange->asked) &&
           !clocks_fresh(clocks, hashes, meta->tag_count, judged_up_to(&exchange->lookup));
}

bool policy_changes_heard(const struct exchange *exchange)
{
    const struct learned *learned = exchange->learned;
    return !exchange->standby && learned->depends && learned->depends->watched &&
           learned == atomic_load_explicit(&exchange->served->learned, memory_order_acquire) &&
           learning_is_current(exchange->server, exchange->live,
                               exchange->lookup.lease.definitions);
}

int64_t policy_ttl(const struct exchange *exchange, int64_t ttl)
{
    return policy_changes_heard(exchange) || ttl < guard(exchange) ? ttl : guard(exchange);
}

bool policy_timely(const struct exchange *exchange, const struct kept *kept,
                   const struct exchange *parked)
{
    size_t count;
    const uint64_t *hashes = kept_hashes(kept, &count);
    int64_t age = clock_wall() - kept_created(kept);
    if (exchange->asked >= parked->started)
        return true;
    return unstruck(exchange->server->clocks, hashes, count, kept_clock(kept)) &&
           (policy_hears(exchange, kept_clock(kept)) || (age >= 0 && age < guard(exchange)));
}

/* Uniform in (0, 1]; xorshift64* (Marsaglia 2003, Vigna 2016), a state for each thread. */
static double chance(void)
{
    static _Thread_local uint64_t state;
    if (!state)
        state = (uint64_t)clock_monotonic() ^ (uint64_t)(uintptr_t)&state;
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (double)((state * UINT64_C(0x2545f4914f6cdd1d) >> 11) + 1) * 0x1p-53;
}

/* -ln of the least chance is 37: beyond so many times the cost it is never time yet. */
#define EARLY_MOST 37

bool policy_refresh_early(const struct exchange *exchange)
{
    int64_t left = entry_fresh_for(&exchange->meta, exchange->now);
    int64_t cost = exchange->meta.cost;
    if (cost <= 0 || left / EARLY_MOST >= cost)
        return false;
    return (double)cost * -log(chance()) >= (double)left;
}

/* The first look after a lease was refused, and the longest pause between two: µs. */
#define WAIT_FIRST INT64_C(1000)
#define WAIT_MOST INT64_C(20000)

void policy_wait_longer(struct exchange *exchange, int64_t now)
{
    int64_t pause = exchange->wait_pause ? exchange->wait_pause * 3 / 2 : WAIT_FIRST;
    exchange->wait_pause = pause < WAIT_MOST ? pause : WAIT_MOST;
    exchange->wait_next = now + exchange->wait_pause;
    if (exchange->wait_next > exchange->waits_until)
        exchange->wait_next = exchange->waits_until;
}

bool policy_serves_on_error(const struct exchange *exchange, const struct entry_meta *meta,
                            bool struck)
{
    int64_t age = exchange->now > meta->created ? exchange->now - meta->created : 0;
    return age < meta->error + (struck ? 0 : meta->ttl);
}
