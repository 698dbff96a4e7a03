#include "cache/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

/* A refused store (a full Redis) is told at most this often. */
#define REFUSAL_QUIET (10 * INT64_C(1000000))

struct cache_store {
    struct cache_store_settings settings;
    struct breaker breaker;
    struct redis_resolver *resolver;
    int64_t resolved;             /* monotonic µs of the last look-up */
    _Atomic int64_t refusal_told; /* monotonic µs of the last refusal in the log */
};

struct cache_store *cache_store_new(const struct cache_store_settings *settings)
{
    struct cache_store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    store->settings = *settings;
    breaker_init(&store->breaker, settings->probe);
    store->resolver = redis_resolver_new(&store->settings.address);
    if (!store->resolver) {
        free(store);
        return NULL;
    }
    return store;
}

void cache_store_free(struct cache_store *store)
{
    if (!store)
        return;
    redis_resolver_free(store->resolver);
    free(store);
}

#define RESOLVE_INTERVAL (60 * INT64_C(1000000))
#define RESOLVE_INTERVAL_AWAY (5 * INT64_C(1000000))

bool cache_store_resolve(struct cache_store *store, int64_t now, struct error *error)
{
    int64_t interval = breaker_is_open(&store->breaker) ? RESOLVE_INTERVAL_AWAY : RESOLVE_INTERVAL;
    if (!redis_resolver_needed(store->resolver) ||
        (store->resolved && now - store->resolved < interval))
        return true;
    store->resolved = now;
    return redis_resolver_refresh(store->resolver, error);
}

struct redis_connection *cache_store_connection(const struct cache_store *store)
{
    return redis_connection_new(&store->settings.address, store->resolver);
}

struct redis_subscription *cache_store_subscription(const struct cache_store *store,
                                                    int64_t silence)
{
    return redis_subscription_new(&store->settings.address, store->resolver, silence);
}

static void count(struct cache_store *store, enum counter counter, int64_t amount)
{
    counters_add(store->settings.counters, counter, amount);
}

/* Less than this is not worth beginning a call. */
#define BUDGET_LEAST INT64_C(1000)

/* May this call, of so many requests, try Redis? */
static bool allowed(struct cache_store *store, size_t requests, int64_t budget)
{
    if (budget >= BUDGET_LEAST && breaker_allows(&store->breaker, clock_monotonic()))
        return true;
    count(store, COUNTER_REDIS_SKIPPED, (int64_t)requests);
    return false;
}

/* A call that failed so many requests. */
static void failed(struct cache_store *store, size_t requests, const struct error *failure,
                   struct error *ret_event)
{
    count(store, COUNTER_REDIS_ERRORS, (int64_t)requests);
    bool was_open = breaker_is_open(&store->breaker), opened = false;
    for (size_t i = 0; i < requests; i++)
        opened = breaker_failed(&store->breaker, clock_monotonic()) || opened;
    if (opened) {
        count(store, COUNTER_REDIS_BREAKER_OPENED, 1);
        count(store, COUNTER_REDIS_BREAKER_OPEN, 1);
        error_set(ret_event, failure->kind, "left out until it answers again: %.400s",
                  failure->text);
    } else if (!was_open) {
        error_set(ret_event, failure->kind, "%.400s", failure->text);
    }
}

static void succeeded(struct cache_store *store, struct error *ret_event)
{
    if (!breaker_succeeded(&store->breaker))
        return;
    count(store, COUNTER_REDIS_BREAKER_OPEN, -1);
    error_set(ret_event, ERROR_NONE, "Redis answers again");
}

/* Error replies to earlier stores have arrived with this call's reply. */
static void refusals_take(struct cache_store *store, struct redis_connection *connection,
                          struct error *ret_event)
{
    const char *text;
    unsigned refused = redis_dropped_errors(connection, &text);
    if (!refused)
        return;
    count(store, COUNTER_REDIS_STORE_ERRORS, refused);
    int64_t now = clock_monotonic();
    int64_t told = atomic_load(&store->refusal_told);
    if (now - told > REFUSAL_QUIET &&
        atomic_compare_exchange_strong(&store->refusal_told, &told, now))
        error_set(ret_event, ERROR_BUSY, "an entry was not kept: %s", text);
}

/* One bounded call for `count` requests, a command each; false: all of them do without Redis. */
static bool call(struct cache_store *store, struct redis_connection *connection,
                 const struct redis_command *commands, size_t count, int64_t *budget,
                 struct redis_reply **ret_replies, struct error *ret_event)
{
    struct error failure;
    if (!allowed(store, count, *budget))
        return false;
    int64_t begin = clock_monotonic();
    bool answered = redis_call(connection, commands, count, begin + *budget, ret_replies, &failure);
    *budget -= clock_monotonic() - begin;
    if (answered) {
        succeeded(store, ret_event);
        refusals_take(store, connection, ret_event);
    } else {
        failed(store, count, &failure, ret_event);
    }
    return answered;
}

static enum coding preferred(const struct coding_accept *accept, unsigned available)
{
    enum coding coding = CODING_IDENTITY;
    if (!coding_choose(accept, available, &coding))
        coding = CODING_IDENTITY; /* the caller answers 406 */
    return coding;
}

#define ALL_CODINGS (CODING_BIT(CODING_COUNT) - 1)

/* Reads {metadata, wanted variant, sole variant}; false: no usable entry in the reply. */
static bool reply_read(const struct redis_reply *reply, const struct coding_accept *accept,
                       enum coding asked, struct store_found *found)
{
    if (!entry_meta_read(redis_reply_element(reply, 0), &found->meta))
        return false;
    found->coding = preferred(accept, found->meta.variants);
    bool sole = found->meta.variants == CODING_BIT(CODING_IDENTITY);
    found->body = (struct span){0};
    if (sole)
        found->body = redis_reply_element(reply, 2);
    else if (found->coding == asked)
        found->body = redis_reply_element(reply, 1);
    return true;
}

static bool body_whole(const struct store_found *found)
{
    return found->body.data && found->body.size == found->meta.sizes[found->coding];
}

#define LOOKUP_WORDS 5

static struct redis_command lookup_command(const struct store_query *query,
                                           struct span words[static LOOKUP_WORDS])
{
    enum coding asked = preferred(query->accept, ALL_CODINGS);
    words[0] = SPAN_LITERAL("HMGET");
    words[1] = query->key;
    words[2] = SPAN_LITERAL("m");
    words[3] = span_of(entry_field(ALL_CODINGS, asked));
    words[4] = SPAN_LITERAL("s");
    return (struct redis_command){words, query->body_wanted ? LOOKUP_WORDS : 3};
}

/* Reads one look-up's reply, null for a key that holds something else than an entry (WRONGTYPE). */
static void lookup_take(struct cache_store *store, struct store_query *query,
                        struct redis_reply *reply)
{
    bool absent = reply && !redis_reply_element(reply, 0).data;
    enum coding asked = preferred(query->accept, ALL_CODINGS);
    query->found = (struct store_found){.reply = reply};
    query->outcome = STORE_HIT;
    if (reply && !absent && reply_read(reply, query->accept, asked, &query->found))
        return;
    if (!absent)
        count(store, COUNTER_CACHE_BROKEN, 1);
    redis_reply_free(reply);
    query->found.reply = NULL;
    query->outcome = STORE_MISS;
}

void cache_store_lookup(struct cache_store *store, struct redis_connection *connection,
                        struct store_query *const *queries, size_t count, int64_t *budget,
                        struct error *ret_event)
{
    struct span words[STORE_BATCH][LOOKUP_WORDS];
    struct redis_command commands[STORE_BATCH];
    struct redis_reply *replies[STORE_BATCH];
    for (size_t i = 0; i < count; i++) {
        commands[i] = lookup_command(queries[i], words[i]);
        queries[i]->outcome = STORE_BYPASS;
    }
    if (!call(store, connection, commands, count, budget, replies, ret_event))
        return;
    for (size_t i = 0; i < count; i++)
        lookup_take(store, queries[i], replies[i]);
    for (size_t i = 0; i < count; i++)
        if (queries[i]->outcome == STORE_HIT && queries[i]->body_wanted &&
            !body_whole(&queries[i]->found))
            queries[i]->outcome = cache_store_body(store, connection, queries[i]->key, budget,
                                                   &queries[i]->found, ret_event);
}

/*
 * The metadata is asked for once more with the body: between two calls the entry may have been
 * replaced, and a body must never go out under another body's tag.
 */
enum store_outcome cache_store_body(struct cache_store *store, struct redis_connection *connection,
                                    struct span key, int64_t *budget, struct store_found *found,
                                    struct error *ret_event)
{
    const struct span words[] = {SPAN_LITERAL("HMGET"), key, SPAN_LITERAL("m"),
                                 span_of(entry_field(found->meta.variants, found->coding))};
    const struct redis_command command = {words, ARRAY_COUNT(words)};
    redis_reply_free(found->reply);
    found->reply = NULL;
    struct redis_reply *reply;
    if (!call(store, connection, &command, 1, budget, &reply, ret_event))
        return STORE_BYPASS;
    bool good = reply && entry_meta_read(redis_reply_element(reply, 0), &found->meta);
    found->reply = reply;
    found->body = good ? redis_reply_element(reply, 1) : (struct span){0};
    if (good && body_whole(found))
        return STORE_HIT;
    redis_reply_free(reply);
    found->reply = NULL;
    return STORE_MISS;
}

static size_t store_words(const struct entry_meta *meta, struct span record,
                          const struct span bodies[CODING_COUNT], struct span *words)
{
    size_t count = 2; /* HSET key */
    words[count++] = SPAN_LITERAL("m");
    words[count++] = record;
    for (enum coding coding = 0; coding < CODING_COUNT; coding++) {
        if (!(meta->variants & CODING_BIT(coding)))
            continue;
        words[count++] = span_of(entry_field(meta->variants, coding));
        words[count++] = bodies[coding];
    }
    return count;
}

bool cache_store_keep(struct cache_store *store, struct redis_connection *connection,
                      struct span key, const struct entry_meta *meta,
                      const struct span bodies[CODING_COUNT], int64_t *budget,
                      struct error *ret_event)
{
    struct bytes record = BYTES_EMPTY;
    struct error failure;
    char lifetime[24];
    entry_meta_write(meta, &record);
    snprintf(lifetime, sizeof lifetime, "%" PRId64, (entry_lifetime(meta) + 999) / 1000);
    struct span set[4 + 2 * CODING_COUNT] = {SPAN_LITERAL("HSET"), key};
    const struct span multi[] = {SPAN_LITERAL("MULTI")}, remove[] = {SPAN_LITERAL("DEL"), key},
                      expire[] = {SPAN_LITERAL("PEXPIRE"), key, span_of(lifetime)},
                      exec[] = {SPAN_LITERAL("EXEC")};
    const struct redis_command commands[] = {
        {multi, 1},
        {remove, 2},
        {set, store_words(meta, bytes_span(&record), bodies, set)},
        {expire, 3},
        {exec, 1}};
    bool sent = !record.failed && allowed(store, 1, *budget);
    if (sent) {
        int64_t begin = clock_monotonic();
        sent = redis_post(connection, commands, ARRAY_COUNT(commands), begin + *budget, &failure);
        *budget -= clock_monotonic() - begin;
        if (sent)
            count(store, COUNTER_CACHE_STORES, 1);
        else
            failed(store, 1, &failure, ret_event);
    }
    bytes_free(&record);
    return sent;
}

void cache_store_settle(struct cache_store *store, struct redis_connection *connection,
                        int64_t limit, struct error *ret_event)
{
    struct error failure;
    if (redis_settle(connection, clock_monotonic() + limit, &failure))
        refusals_take(store, connection, ret_event);
    else
        failed(store, 1, &failure, ret_event);
}
