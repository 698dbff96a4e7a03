/*
 * The steps that look for a kept answer: key, memory, lookup.
 */
#include "base/clock.h"
#include "db/write.h"
#include "http/etag.h"
#include "serve/policy.h"
#include "serve/steps.h"

static bool refuses_identity(const struct exchange *exchange)
{
    return exchange->accept.quality[CODING_IDENTITY] == 0;
}

/* A conditional request first asks for the metadata alone: usually the client has the body. */
static void lookup_ask(struct exchange *exchange)
{
    bool conditional = exchange->request.if_none_match.data != NULL;
    exchange->asks = true;
    exchange->redis_budget = options_number(exchange->server->options, OPTION_REDIS_TIMEOUT);
    exchange->lookup = (struct store_query){
        .key = bytes_span(&exchange->desk->key),
        .accept = &exchange->accept,
        .now = exchange->now,
        /* To make a variant for a client that refuses identity, even a HEAD needs the body. */
        .body_wanted = refuses_identity(exchange) || (!conditional && !exchange->head_only),
        .lease_wanted = true,
        .last_wanted = exchange->served->route->cache.error > 0};
}

/* What row level security may look at is asked for as much as the parameters are. */
static bool identity_values(const struct exchange *exchange, struct value values[static 2])
{
    unsigned char digest[DIGEST_SIZE];
    struct span claims = span_of(exchange->identity->claims);
    char *hex = arena_alloc(exchange->desk->arena, 2 * DIGEST_SIZE + 1);
    if (!hex || !digest_sha256(claims, digest, NULL))
        return false;
    digest_hex(digest, DIGEST_SIZE, hex);
    values[0] = (struct value){.state = VALUE_TEXT, .text = span_of(exchange->identity->role)};
    values[1] = (struct value){.state = VALUE_TEXT, .text = span_of(hex)};
    return true;
}

/* What the answer depends on; null: memory. */
static const struct value *key_values(const struct exchange *exchange, size_t *ret_count)
{
    size_t count = exchange->served->route->param_count;
    *ret_count = count;
    if (!exchange->identity)
        return exchange->by_param;
    struct value *values = arena_array(exchange->desk->arena, count + 2, sizeof *values);
    if (!values || !identity_values(exchange, values + count))
        return NULL;
    if (count)
        memcpy(values, exchange->by_param, count * sizeof *values);
    *ret_count = count + 2;
    return values;
}

void step_key(struct exchange *exchange)
{
    const struct served *served = exchange->served;
    struct error error;
    size_t count;
    if (!policy_caches(exchange))
        return;
    bytes_clear(&exchange->desk->key);
    const struct value *values = key_values(exchange, &count);
    if (!values ||
        !cache_key_write(options_text(exchange->server->options, OPTION_PREFIX), &served->version,
                         served->route->name, values, count, &exchange->desk->key, &error))
        exchange_memory(exchange);
    else
        lookup_ask(exchange);
}

/* Does If-None-Match name the entry, in any of its variants, so that a 304 answers it? */
static bool client_has(const struct exchange *exchange, const struct entry_meta *meta)
{
    struct entry_tags tags;
    entry_tags_of(meta, &tags);
    return meta->status == 200 &&
           etag_list_matches_weak(exchange->request.if_none_match, tags.spans, CODING_COUNT);
}

static void hold(struct exchange *exchange, enum counter_tier tier, const char *detail)
{
    int64_t fresh_for = entry_fresh_for(&exchange->meta, exchange->now);
    exchange->phase = PHASE_HELD;
    exchange->tier = tier;
    exchange->cache = (struct cache_status){
        .hit = true, .ttl = fresh_for / 1000000, .has_ttl = true, .detail = detail};
    counters_add(exchange->server->counters, COUNTER_CACHE_HITS, 1);
}

bool step_hold_kept(struct exchange *exchange, struct kept *kept)
{
    struct entry_meta meta;
    kept_meta(kept, &meta);
    enum coding coding = CODING_IDENTITY;
    if (meta.status == 200 && !coding_choose(&exchange->accept, meta.variants, &coding))
        coding = CODING_IDENTITY;
    bool bare = exchange->head_only || client_has(exchange, &meta);
    bool needs = !bare || refuses_identity(exchange);
    if (needs && !kept_body(kept, coding).data)
        return false;
    exchange->kept = kept_ref(kept);
    exchange->meta = meta;
    for (enum coding each = 0; each < CODING_COUNT; each++)
        exchange->bodies[each] = each == coding ? kept_body(kept, each) : (struct span){0};
    hold(exchange, TIER_L1, "l1");
    return true;
}

void step_memory(struct exchange *exchange)
{
    struct server *server = exchange->server;
    if (!exchange->asks || !policy_uses_memory(exchange) || exchange->alone)
        return;
    struct kept *kept = memory_get(server->memory, exchange->lookup.key, exchange->now);
    bool hit = kept && policy_fresh(exchange, kept) && step_hold_kept(exchange, kept);
    kept_unref(kept);
    counters_add(server->counters, hit ? COUNTER_L1_HITS : COUNTER_L1_MISSES, 1);
    if (hit && policy_refresh_early(exchange))
        exchange->refresh = REFRESH_TRY;
}

static void missed(struct exchange *exchange, const char *why)
{
    exchange->cache.forward = why;
    counters_add(exchange->server->counters, COUNTER_CACHE_MISSES, 1);
}

/* The conditional request whose client does not have the entry needs the body after all. */
static void body_fetch(struct exchange *exchange)
{
    struct store_query *lookup = &exchange->lookup;
    struct error event = {0};
    bool held = lookup->outcome == STORE_HIT || lookup->outcome == STORE_AGED;
    if (!held || lookup->body_wanted || exchange->head_only ||
        client_has(exchange, &lookup->found.meta))
        return;
    enum store_outcome fetched =
        cache_store_body(exchange->server->store, exchange->desk->redis, lookup->key,
                         &exchange->redis_budget, &lookup->found, &event);
    if (fetched != STORE_HIT)
        lookup->outcome = fetched;
    exchange_redis_event(&event);
}

/* The exchange holds what Redis had. */
static void take(struct exchange *exchange, const char *detail)
{
    struct store_found *found = &exchange->lookup.found;
    exchange->reply = found->reply;
    found->reply = NULL;
    exchange->meta = found->meta;
    exchange->bodies[found->coding] = found->body;
    hold(exchange, TIER_REDIS, detail);
}

static void take_fresh(struct exchange *exchange)
{
    take(exchange, "redis");
    if (policy_refresh_early(exchange))
        exchange->refresh = REFRESH_TRY;
}

static void take_aged(struct exchange *exchange)
{
    take(exchange, "stale");
    counters_add(exchange->server->counters, COUNTER_STALE_SERVED, 1);
    if (exchange->lookup.lease.held)
        exchange->refresh = REFRESH_LEASED;
}

/* How far Redis' clock is: above it is whatever this host may have to strike alone. */
static void clock_see(const struct exchange *exchange)
{
    const struct store_query *lookup = &exchange->lookup;
    if (lookup->outcome == STORE_HIT)
        clocks_see(exchange->server->clocks, lookup->clock);
    if (lookup->lease.held)
        clocks_see(exchange->server->clocks, lookup->lease.clock);
}

bool step_take_lease(struct exchange *exchange)
{
    struct store_query *lookup = &exchange->lookup;
    struct error event = {0};
    lookup->refresh = true;
    lookup->body_wanted = lookup->last_wanted = false;
    cache_store_lookup(exchange->server->store, exchange->desk->redis, &lookup, 1,
                       &exchange->redis_budget, &event);
    exchange_redis_event(&event);
    clock_see(exchange);
    redis_reply_free(lookup->found.reply);
    lookup->found.reply = NULL;
    return lookup->outcome != STORE_BYPASS && lookup->lease.held;
}

void step_hold_last(struct exchange *exchange)
{
    take(exchange, "database-down");
    counters_add(exchange->server->counters, COUNTER_STALE_SERVED, 1);
}

/* Somebody fills: this exchange, or, without a lease, the one it waits for. */
static void seek_on(struct exchange *exchange)
{
    const struct store_lease *lease = &exchange->lookup.lease;
    int64_t now = clock_monotonic();
    if (!exchange->waits_until) {
        missed(exchange, exchange->lookup.existed ? "stale" : "uri-miss");
        exchange->waits_until = now + options_number(exchange->server->options, OPTION_LEASE);
    }
    exchange->waits = !lease->held && !lease->refused && now < exchange->waits_until;
    exchange->alone = !lease->held && !exchange->waits;
    if (exchange->waits)
        policy_wait_longer(exchange, now);
}

/* What Redis holds fresh though this host has heard better; nothing is kept in its place. */
static bool found_struck(const struct exchange *exchange)
{
    const struct store_query *lookup = &exchange->lookup;
    bool found = lookup->outcome == STORE_HIT || lookup->outcome == STORE_AGED;
    return found && policy_struck_alone(exchange);
}

void step_lookup(struct exchange *exchange)
{
    exchange->waits = false;
    if (!exchange->asks || exchange->alone) {
        exchange->cache.forward = exchange->cache.forward ? exchange->cache.forward : "bypass";
        return;
    }
    clock_see(exchange);
    if (found_struck(exchange)) {
        exchange->cache.forward = "bypass";
        exchange->cache.detail = "struck";
        return;
    }
    body_fetch(exchange);
    switch (exchange->lookup.outcome) {
    case STORE_HIT:
        take_fresh(exchange);
        break;
    case STORE_AGED:
        take_aged(exchange);
        break;
    case STORE_MISS:
        seek_on(exchange);
        break;
    case STORE_BYPASS:
        exchange->cache.forward = "bypass";
        exchange->cache.detail = "redis-down";
        exchange->redis_failed = true;
        break;
    }
}
