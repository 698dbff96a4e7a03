/*
 * The steps that speak with the cache: key, lookup, store.
 */
#include "http/etag.h"
#include "serve/steps.h"

/* Is the route's answer kept in Redis at all? */
static bool cached(const struct exchange *exchange)
{
    return exchange->served->route->cache.present && exchange->worker->redis &&
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

void step_key(struct exchange *exchange)
{
    const struct served *served = exchange->served;
    struct error error;
    if (!cached(exchange))
        return;
    bytes_clear(&exchange->worker->key);
    if (!cache_key_write(options_text(exchange->server->options, OPTION_PREFIX), &served->version,
                         served->route->name, exchange->values,
                         served->route->statement.parameter_count, &exchange->worker->key, &error))
        exchange_memory(exchange);
}

/* Does If-None-Match name the entry, in any of its variants, so that a 304 answers it? */
static bool client_has(const struct exchange *exchange, const struct entry_meta *meta)
{
    struct entry_tag texts[CODING_COUNT];
    struct span tags[CODING_COUNT];
    for (enum coding coding = 0; coding < CODING_COUNT; coding++) {
        texts[coding] = entry_tag_of(meta, coding);
        tags[coding] = span_of(texts[coding].text);
    }
    return meta->status == 200 &&
           etag_list_matches_weak(exchange->request.if_none_match, tags, CODING_COUNT);
}

/* A conditional request first asks for the metadata alone: usually the client has the body. */
static enum store_outcome look(struct exchange *exchange, struct store_found *found,
                               struct error *event)
{
    struct worker *worker = exchange->worker;
    struct cache_store *store = exchange->server->store;
    struct span key = bytes_span(&worker->key);
    bool conditional = exchange->request.if_none_match.data != NULL;
    /* To make a variant for a client that refuses identity, even a HEAD needs the body. */
    bool refused = exchange->accept.quality[CODING_IDENTITY] == 0;
    bool body_wanted = refused || (!conditional && !exchange->head_only);
    enum store_outcome outcome =
        cache_store_lookup(store, worker->redis, key, &exchange->accept, body_wanted,
                           &exchange->redis_budget, found, event);
    if (outcome != STORE_HIT || body_wanted || exchange->head_only ||
        client_has(exchange, &found->meta))
        return outcome;
    return cache_store_body(store, worker->redis, key, found->coding, &exchange->redis_budget,
                            found, event);
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

void step_lookup(struct exchange *exchange)
{
    struct store_found found;
    struct error event = {0};
    exchange->cache.forward = "bypass";
    if (!cached(exchange))
        return;
    exchange->redis_budget = options_number(exchange->server->options, OPTION_REDIS_TIMEOUT);
    enum store_outcome outcome = look(exchange, &found, &event);
    exchange_redis_event(&event);
    if (outcome == STORE_BYPASS) {
        exchange->cache.detail = "redis-down";
        exchange->redis_failed = true;
        return;
    }
    if (outcome == STORE_MISS) {
        missed(exchange, "uri-miss");
        return;
    }
    exchange->reply = found.reply;
    int64_t fresh_for = entry_fresh_for(&found.meta, exchange->now);
    if (fresh_for > 0)
        hold(exchange, &found, fresh_for);
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
    exchange->cache.stored = cache_store_keep(exchange->server->store, exchange->worker->redis,
                                              bytes_span(&exchange->worker->key), &exchange->meta,
                                              exchange->bodies, &exchange->redis_budget, &event);
    exchange_redis_event(&event);
}
