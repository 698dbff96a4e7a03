/*
 * The steps that give an answer away: store to Redis, share to the process' own memory and to the
 * requests that wait for it.
 */
#include "http/status.h"
#include "serve/failures.h"
#include "serve/flight.h"
#include "serve/policy.h"
#include "serve/steps.h"

static void too_large_count(const struct exchange *exchange)
{
    if (policy_caches(exchange) &&
        exchange->bodies[CODING_IDENTITY].size >
            (uint64_t)options_number(exchange->server->options, OPTION_ENTRY_MAX))
        counters_add(exchange->server->counters, COUNTER_CACHE_TOO_LARGE, 1);
}

/* What is sent when the look-up took all the time: a lease must not stay behind. */
#define BUDGET_LEAST INT64_C(10000)

static void budget_raise(struct exchange *exchange)
{
    if (exchange->redis_budget < BUDGET_LEAST)
        exchange->redis_budget = BUDGET_LEAST;
}

static void keep(struct exchange *exchange)
{
    budget_raise(exchange);
    struct error event = {0};
    exchange->cache.stored = cache_store_keep(
        exchange->server->store, exchange->desk->redis, exchange->lookup.key, &exchange->meta,
        exchange->bodies, &exchange->lookup.lease, &exchange->redis_budget, &event);
    exchange_redis_event(&event);
}

/* Whoever waits for a fill that came to nothing need not wait for the lease's end. */
static void release(struct exchange *exchange)
{
    struct error event = {0};
    if (!exchange->lookup.lease.held || exchange->redis_failed)
        return;
    budget_raise(exchange);
    cache_store_release(exchange->server->store, exchange->desk->redis, exchange->lookup.key,
                        &exchange->lookup.lease, &exchange->redis_budget, &event);
    exchange_redis_event(&event);
}

void step_store(struct exchange *exchange)
{
    if (exchange->phase == PHASE_FILLED) {
        too_large_count(exchange);
        if (policy_stores(exchange))
            keep(exchange);
        else
            release(exchange);
        if (policy_keeps(exchange) && exchange->lookup.lease.refused)
            counters_add(exchange->server->counters, COUNTER_REDIS_STORE_ERRORS, 1);
    } else if (exchange->refresh != REFRESH_LEASED) {
        release(exchange);
    }
}

/* Copies of larger answers would cost more than their queries. */
#define SHARED_MAX ((size_t)16 * 1024 * 1024)

/* Can the fresh answer be judged by others, and be copied for them, whether it is kept or not? */
static bool shareable(const struct exchange *exchange)
{
    return exchange->meta.tag_count > 0 && exchange->bodies[CODING_IDENTITY].size <= SHARED_MAX;
}

/* The answer as others may have it; null: not to be shared, or memory. */
static struct kept *kept_make(const struct exchange *exchange)
{
    struct entry_meta meta = exchange->meta;
    if (exchange->kept)
        return kept_ref(exchange->kept);
    if (exchange->phase == PHASE_HELD)
        meta.clock = exchange->lookup.clock;
    else if (exchange->phase != PHASE_FILLED || !shareable(exchange))
        return NULL;
    else if (!exchange->lookup.lease.held)
        meta.clock = exchange->host_clock;
    return kept_new(&meta, exchange->bodies);
}

static bool body_at_hand(const struct exchange *exchange)
{
    for (enum coding coding = 0; coding < CODING_COUNT; coding++)
        if (exchange->bodies[coding].data)
            return true;
    return false;
}

/* Is the answer one that the process' memory does not have yet? */
static bool memory_wants(const struct exchange *exchange)
{
    return policy_uses_memory(exchange) && !exchange->kept &&
           ((exchange->phase == PHASE_FILLED && policy_keeps(exchange)) ||
            (exchange->phase == PHASE_HELD && exchange->lookup.outcome == STORE_HIT &&
             body_at_hand(exchange)));
}

/* A variant more of an answer that the memory has with others joins them. */
static void memory_take(struct exchange *exchange, struct kept *kept)
{
    struct memory *memory = exchange->server->memory;
    struct kept *older = memory_get(memory, exchange->lookup.key, exchange->now);
    struct kept *both = older ? kept_merge(kept, older) : NULL;
    memory_put(memory, exchange->lookup.key, both ? both : kept, exchange->now);
    kept_unref(older);
    kept_unref(both);
}

/* Gives the answer, or its failure, to one who waited; else it has to seek for itself. */
static void hand_out(const struct exchange *exchange, struct kept *kept, struct exchange *parked)
{
    bool suits = exchange->stands_in || (kept && policy_timely(exchange, kept, parked));
    if (kept && suits && step_hold_kept(parked, kept)) {
        parked->tier = exchange->tier;
        parked->cache.hit = exchange->cache.hit;
        parked->cache.detail = exchange->cache.detail;
        parked->cache.forward = exchange->cache.forward;
        parked->cache.collapsed = true;
        parked->cache.has_ttl = exchange->cache.hit;
    } else if (exchange->failure) {
        failure_answer(parked, exchange->failure);
    } else if (!kept && exchange->phase != PHASE_HELD) {
        parked->alone = true;
    }
}

void step_share(struct exchange *exchange)
{
    bool wanted = memory_wants(exchange);
    struct kept *kept = wanted ? kept_make(exchange) : NULL;
    if (kept)
        memory_take(exchange, kept);
    struct job_list parked = flight_end(exchange->server->flights, exchange->flight);
    exchange->flight = NULL;
    if (parked.first && !kept)
        kept = kept_make(exchange);
    for (struct job *job = parked.first; job; job = job_next(job)) {
        counters_add(exchange->server->counters, COUNTER_COLLAPSED, 1);
        hand_out(exchange, kept, job_exchange(job));
    }
    kept_unref(kept);
    if (parked.first)
        exchange->server->wake(exchange->server->crew, &parked);
}
