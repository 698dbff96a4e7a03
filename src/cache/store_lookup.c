/*
 * The store's reading side.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cache/store_base.h"

#define ALL_CODINGS (CODING_BIT(CODING_COUNT) - 1)

/* The look-up script's keys and arguments (scripts.h). */
#define LOOKUP_KEYS 5
#define LOOKUP_WORDS 13

/* What one look-up's words are written in. */
struct lookup_words {
    struct span words[LOOKUP_WORDS];
    char lease[STORE_NAME_SIZE];
    char lease_ms[24], now[24], guard[24];
};

static void count(struct cache_store *store, enum counter counter, int64_t amount)
{
    counters_add(store->settings.counters, counter, amount);
}

static enum coding preferred(const struct coding_accept *accept, unsigned available)
{
    enum coding coding = CODING_IDENTITY;
    if (!coding_choose(accept, available, &coding))
        coding = CODING_IDENTITY; /* the caller answers 406 */
    return coding;
}

static void owner_make(struct cache_store *store, struct store_lease *lease)
{
    snprintf(lease->owner, sizeof lease->owner, "%016" PRIx64 ".%" PRIu64, store->process,
             atomic_fetch_add(&store->leases, 1));
}

static struct span flag(bool set)
{
    return set ? SPAN_LITERAL("1") : SPAN_LITERAL("0");
}

/* False: the key is none of this store's. */
static bool lookup_write(struct cache_store *store, struct store_query *query,
                         struct lookup_words *out)
{
    enum coding asked = preferred(query->accept, ALL_CODINGS);
    int64_t lease = query->lease_wanted ? (store->settings.lease + 999) / 1000 : 0;
    if (!store_lease_name(store, query->key, out->lease))
        return false;
    query->lease = (struct store_lease){0};
    if (query->lease_wanted)
        owner_make(store, &query->lease);
    snprintf(out->lease_ms, sizeof out->lease_ms, "%" PRId64, lease);
    snprintf(out->now, sizeof out->now, "%" PRId64, query->now);
    snprintf(out->guard, sizeof out->guard, "%" PRId64, store->settings.guard);
    const struct span words[LOOKUP_WORDS] = {
        query->key,
        span_of(out->lease),
        span_of(store->clock),
        span_of(store->beat),
        span_of(store->journal),
        span_of(store->tags),
        span_of(query->lease.owner),
        span_of(out->lease_ms),
        span_of(out->now),
        span_of(out->guard),
        query->body_wanted ? span_of(entry_field(ALL_CODINGS, asked)) : SPAN_LITERAL(""),
        flag(query->last_wanted),
        flag(query->refresh),
    };
    memcpy(out->words, words, sizeof words);
    return true;
}

/* The places in the script's reply. */
enum {
    REPLY_FLAGS,
    REPLY_CLOCK,
    REPLY_META,
    REPLY_WANTED,
    REPLY_SOLE,
    REPLY_REFUSAL,
    REPLY_DEFINITIONS,
};

/* Reads the metadata and the body at hand; false: no usable entry in the reply. */
static bool found_read(const struct redis_reply *reply, const struct coding_accept *accept,
                       struct store_found *found)
{
    enum coding asked = preferred(accept, ALL_CODINGS);
    if (!entry_meta_read(redis_reply_element(reply, REPLY_META), &found->meta))
        return false;
    found->coding = preferred(accept, found->meta.variants);
    found->body = (struct span){0};
    if (found->meta.variants == CODING_BIT(CODING_IDENTITY))
        found->body = redis_reply_element(reply, REPLY_SOLE);
    else if (found->coding == asked)
        found->body = redis_reply_element(reply, REPLY_WANTED);
    return true;
}

static bool body_whole(const struct store_found *found)
{
    return found->body.data && found->body.size == found->meta.sizes[found->coding];
}

/* A decimal number; 0 for anything else. */
static uint64_t number_of(struct span text)
{
    uint64_t number;
    return span_number(text, INT64_MAX, &number) ? number : 0;
}

static enum store_outcome outcome_of(char state)
{
    return state == 'F' ? STORE_HIT : state == 'A' ? STORE_AGED : STORE_MISS;
}

/* Anything else is no answer of the script's. */
static bool flags_known(struct span flags)
{
    return flags.size == 3 && flags.data[0] && strchr("FAOSNX", flags.data[0]) && flags.data[1] &&
           strchr("LU-", flags.data[1]) && flags.data[2] && strchr("B-", flags.data[2]);
}

/* Reads one look-up's reply; null: Redis answered it with an error. */
static void lookup_take(struct cache_store *store, struct store_query *query,
                        struct redis_reply *reply, struct error *ret_event)
{
    struct span flags = reply ? redis_reply_element(reply, REPLY_FLAGS) : (struct span){0};
    query->found = (struct store_found){.reply = reply};
    if (!flags_known(flags)) {
        redis_reply_free(reply);
        query->found.reply = NULL;
        query->outcome = STORE_BYPASS;
        return;
    }
    query->outcome = outcome_of(flags.data[0]);
    query->existed = flags.data[0] != 'N';
    query->fresh = flags.data[0] == 'F';
    query->expired = flags.data[0] == 'O';
    query->clock = number_of(redis_reply_element(reply, REPLY_CLOCK));
    query->lease.held = flags.data[1] == 'L';
    query->lease.refused = flags.data[1] == 'U';
    query->lease.clock = query->lease.held ? query->clock : 0;
    query->lease.definitions = number_of(redis_reply_element(reply, REPLY_DEFINITIONS));
    if (query->lease.refused)
        store_refused(store, redis_reply_element(reply, REPLY_REFUSAL), ret_event);
    bool present = redis_reply_element(reply, REPLY_META).data != NULL;
    bool usable = present && found_read(reply, query->accept, &query->found);
    if (flags.data[0] == 'X' || (present && !usable))
        count(store, COUNTER_CACHE_BROKEN, 1);
    if (usable)
        return;
    query->outcome = STORE_MISS;
    redis_reply_free(reply);
    query->found.reply = NULL;
}

/*
 * A server that refuses every look-up can't serve now, whatever words it has for it (Redis closes
 * on who has not shown a password, and says "Protocol error").
 */
static bool replies_judge(struct redis_reply **replies, size_t reply_count, struct error *error)
{
    for (size_t i = 0; i < reply_count; i++)
        if (!redis_reply_error(replies[i]).data)
            return true;
    error_set(error, ERROR_UNAVAILABLE, "Redis: %.*s", SPAN_PRINTF(redis_reply_error(replies[0])));
    for (size_t i = 0; i < reply_count; i++)
        redis_reply_free(replies[i]);
    return false;
}

static bool call(struct cache_store *store, struct redis_connection *connection,
                 const struct redis_script_call *calls, size_t call_count, int64_t *budget,
                 struct redis_reply **ret_replies, bool *ret_tried, struct error *ret_event)
{
    struct error failure;
    struct store_ghost ghosts[STORE_BATCH];
    *ret_tried = store_allowed(store, call_count, *budget);
    if (!*ret_tried)
        return false;
    int64_t begin = clock_monotonic();
    size_t ghost_count = store_ghosts_end(store, connection, begin + *budget, ghosts);
    bool answered =
        redis_script_run(connection, calls, call_count, begin + *budget, ret_replies, &failure) &&
        replies_judge(ret_replies, call_count, &failure);
    *budget -= clock_monotonic() - begin;
    if (answered)
        store_succeeded(store, connection, ret_event);
    else
        store_failed(store, call_count, &failure, ret_event);
    if (!answered)
        store_ghosts_return(store, ghosts, ghost_count);
    return answered;
}

/* The body, where the reply has it in another coding than was guessed. */
static void body_complete(struct cache_store *store, struct redis_connection *connection,
                          struct store_query *query, int64_t *budget, struct error *ret_event)
{
    if (!query->found.reply || !query->body_wanted || body_whole(&query->found))
        return;
    enum store_outcome fetched =
        cache_store_body(store, connection, query->key, budget, &query->found, ret_event);
    if (fetched != STORE_HIT)
        query->outcome = fetched;
}

/*
 * An entry that its tags call fresh, but that can't be read: no lease came with it. It goes, and
 * the caller asks once more.
 */
static bool broken_remove(struct cache_store *store, struct redis_connection *connection,
                          struct store_query *query, int64_t *budget, struct error *ret_event)
{
    const struct span words[] = {SPAN_LITERAL("DEL"), query->key};
    bool broken = query->outcome == STORE_MISS && query->fresh && !query->lease.held;
    query->fresh = query->fresh && !broken;
    return broken && query->lease_wanted && !query->lease.refused &&
           store_post(store, connection, words, ARRAY_COUNT(words), budget, ret_event);
}

static void look(struct cache_store *store, struct redis_connection *connection,
                 struct store_query *const *queries, size_t query_count, int64_t *budget,
                 struct error *ret_event)
{
    struct lookup_words words[STORE_BATCH];
    struct redis_script_call calls[STORE_BATCH];
    struct redis_reply *replies[STORE_BATCH];
    for (size_t i = 0; i < query_count; i++)
        queries[i]->outcome = STORE_BYPASS;
    for (size_t i = 0; i < query_count; i++) {
        if (!lookup_write(store, queries[i], &words[i]))
            return;
        calls[i] = (struct redis_script_call){.script = &store->lookup,
                                              .keys = words[i].words,
                                              .key_count = LOOKUP_KEYS,
                                              .arguments = words[i].words + LOOKUP_KEYS,
                                              .argument_count = LOOKUP_WORDS - LOOKUP_KEYS};
    }
    bool tried;
    if (!call(store, connection, calls, query_count, budget, replies, &tried, ret_event)) {
        for (size_t i = 0; tried && i < query_count; i++)
            store_ghost_add(store, queries[i]);
        return;
    }
    for (size_t i = 0; i < query_count; i++)
        lookup_take(store, queries[i], replies[i], ret_event);
    for (size_t i = 0; i < query_count; i++)
        body_complete(store, connection, queries[i], budget, ret_event);
}

void cache_store_lookup(struct cache_store *store, struct redis_connection *connection,
                        struct store_query *const *queries, size_t query_count, int64_t *budget,
                        struct error *ret_event)
{
    look(store, connection, queries, query_count, budget, ret_event);
    for (size_t i = 0; i < query_count; i++)
        if (broken_remove(store, connection, queries[i], budget, ret_event))
            look(store, connection, &queries[i], 1, budget, ret_event);
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
    struct redis_reply *reply;
    struct error failure;
    redis_reply_free(found->reply);
    found->reply = NULL;
    if (!store_allowed(store, 1, *budget))
        return STORE_BYPASS;
    int64_t begin = clock_monotonic();
    bool answered = redis_call(connection, &command, 1, begin + *budget, &reply, &failure);
    *budget -= clock_monotonic() - begin;
    if (!answered) {
        store_failed(store, 1, &failure, ret_event);
        return STORE_BYPASS;
    }
    store_succeeded(store, connection, ret_event);
    bool good = reply && entry_meta_read(redis_reply_element(reply, 0), &found->meta);
    found->reply = reply;
    found->body = good ? redis_reply_element(reply, 1) : (struct span){0};
    if (good && body_whole(found))
        return STORE_HIT;
    redis_reply_free(reply);
    found->reply = NULL;
    return STORE_MISS;
}
