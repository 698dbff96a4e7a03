/*
 * The steps that speak with the cache: key, lookup, store.
 */
#include "http/etag.h"
#include "serve/steps.h"

/* Is the route's answer kept in Redis at all? */
static bool cached(const struct exchange *exchange)
{
    return exchange->served->route->cache.present && exchange->desk->redis &&
           options_number(exchange->server->options, OPTION_CACHE);
}

static bool small_enough(const struct exchange *exchange)
{
    return exchange->bodies[CODING_IDENTITY].size <=
           (uint64_t)options_number(exchange->server->options, OPTION_ENTRY_MAX);
}

/* A Redis that just failed this request is not asked a second time by it. */
bool step_keeps(const struct exchange *exchange)
{
    return cached(exchange) && exchange->meta.ttl > 0 && !exchange->redis_failed &&
           small_enough(exchange);
}

/* A conditional request first asks for the metadata alone: usually the client has the body. */
static void lookup_ask(struct exchange *exchange)
{
    bool conditional = exchange->request.if_none_match.data != NULL;
    /* To make a variant for a client that refuses identity, even a HEAD needs the body. */
    bool refused = exchange->accept.quality[CODING_IDENTITY] == 0;
    exchange->asks = true;
    exchange->redis_budget = options_number(exchange->server->options, OPTION_REDIS_TIMEOUT);
    exchange->lookup.key = bytes_span(&exchange->desk->key);
    exchange->lookup.accept = &exchange->accept;
    exchange->lookup.body_wanted = refused || (!conditional && !exchange->head_only);
}

void step_key(struct exchange *exchange)
{
    const struct served *served = exchange->served;
    struct error error;
    if (!cached(exchange))
        return;
    bytes_clear(&exchange->desk->key);
    if (!cache_key_write(options_text(exchange->server->options, OPTION_PREFIX), &served->version,
                         served->route->name, exchange->values,
                         served->route->statement.parameter_count, &exchange->desk->key, &error))
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

static void hold(struct exchange *exchange, const struct store_found *found, int64_t fresh_for)
{
    exchange->phase = PHASE_HELD;
    exchange->meta = found->meta;
    exchange->bodies[found->coding] = found->body;
    exchange->tier = TIER_REDIS;
    exchange->cache = (struct cache_status){
        .hit = true, .ttl = fresh_for / 1000000, .has_ttl = true, .detail = "redis"};
    counters_add(exchange->server->counters, COUNTER_CACHE_HITS, 1);
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
    if (lookup->outcome != STORE_HIT || lookup->body_wanted || exchange->head_only ||
        client_has(exchange, &lookup->found.meta))
        return;
    lookup->outcome = cache_store_body(exchange->server->store, exchange->desk->redis, lookup->key,
                                       &exchange->redis_budget, &lookup->found, &event);
    exchange_redis_event(&event);
}

void step_lookup(struct exchange *exchange)
{
    const struct store_query *lookup = &exchange->lookup;
    exchange->cache.forward = "bypass";
    if (!exchange->asks)
        return;
    body_fetch(exchange);
    if (lookup->outcome == STORE_BYPASS) {
        exchange->cache.detail = "redis-down";
        exchange->redis_failed = true;
        return;
    }
    if (lookup->outcome == STORE_MISS) {
        missed(exchange, "uri-miss");
        return;
    }
    exchange->reply = lookup->found.reply;
    int64_t fresh_for = entry_fresh_for(&lookup->found.meta, exchange->now);
    if (fresh_for > 0)
        hold(exchange, &lookup->found, fresh_for);
    else
        missed(exchange, "stale");
}

void step_store(struct exchange *exchange)
{
    struct error event = {0};
    if (cached(exchange) && !small_enough(exchange))
        counters_add(exchange->server->counters, COUNTER_CACHE_TOO_LARGE, 1);
    if (!step_keeps(exchange))
        return;
    exchange->cache.stored = cache_store_keep(exchange->server->store, exchange->desk->redis,
                                              bytes_span(&exchange->desk->key), &exchange->meta,
                                              exchange->bodies, &exchange->redis_budget, &event);
    exchange_redis_event(&event);
}
