/*
 * The store's writing side. What is written is sent with its script's whole text: nobody waits for
 * the reply that would say the script is not known.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "cache/store_base.h"

/* How long Redis remembers a tag that nothing carries any more, at least: µs. */
#define TAG_LIFETIME (24 * 3600 * INT64_C(1000000))

/* EVAL script numkeys, 4 keys, 6 arguments, then "m" and a record, and each body with its field. */
#define KEEP_WORDS_MAX (3 + 4 + 6 + 2 + 2 * CODING_COUNT)

bool store_post(struct cache_store *store, struct redis_connection *connection,
                const struct span *words, size_t count, int64_t *budget, struct error *ret_event)
{
    const struct redis_command command = {words, count};
    struct error failure;
    if (!store_allowed(store, 1, *budget))
        return false;
    int64_t begin = clock_monotonic();
    bool sent = redis_post(connection, &command, 1, begin + *budget, &failure);
    *budget -= clock_monotonic() - begin;
    if (!sent)
        store_failed(store, 1, &failure, ret_event);
    return sent;
}

/* The field "k": what the look-up script judges by (scripts.h). */
static void judged_write(const struct entry_meta *meta, struct bytes *out)
{
    int64_t expires = meta->created + meta->ttl;
    bytes_append_format(out, "%" PRIu64 " %" PRId64 " %" PRId64 " %" PRId64, meta->clock,
                        meta->created, expires, expires + meta->stale);
    for (size_t i = 0; i < meta->tag_count; i++) {
        bytes_append_byte(out, '\n');
        bytes_append_span(out, meta->tags[i]);
    }
}

static size_t fields_write(const struct entry_meta *meta, struct span record,
                           const struct span bodies[CODING_COUNT], struct span *words)
{
    size_t count = 0;
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

static void milliseconds_write(int64_t microseconds, char ret_text[static 24])
{
    snprintf(ret_text, 24, "%" PRId64, (microseconds + 999) / 1000);
}

static int64_t tag_lifetime(const struct entry_meta *meta)
{
    int64_t lifetime = 2 * entry_lifetime(meta);
    return lifetime > TAG_LIFETIME ? lifetime : TAG_LIFETIME;
}

bool cache_store_keep(struct cache_store *store, struct redis_connection *connection,
                      struct span key, const struct entry_meta *meta,
                      const struct span bodies[CODING_COUNT], const struct store_lease *lease,
                      int64_t *budget, struct error *ret_event)
{
    struct bytes record = BYTES_EMPTY, judged = BYTES_EMPTY;
    char lease_name[STORE_NAME_SIZE], clock[24], lifetime[24], tags[24];
    entry_meta_write(meta, &record);
    judged_write(meta, &judged);
    snprintf(clock, sizeof clock, "%" PRIu64, lease->clock);
    milliseconds_write(entry_lifetime(meta), lifetime);
    milliseconds_write(tag_lifetime(meta), tags);
    bool sent = !record.failed && !judged.failed && store_lease_name(store, key, lease_name);
    if (sent) {
        struct span words[KEEP_WORDS_MAX] = {SPAN_LITERAL("EVAL"),
                                             span_of(script_keep),
                                             SPAN_LITERAL("4"),
                                             key,
                                             span_of(lease_name),
                                             span_of(store->clock),
                                             span_of(store->journal),
                                             span_of(store->tags),
                                             span_of(lease->owner),
                                             span_of(clock),
                                             bytes_span(&judged),
                                             span_of(lifetime),
                                             span_of(tags)};
        size_t count = 13 + fields_write(meta, bytes_span(&record), bodies, words + 13);
        sent = store_post(store, connection, words, count, budget, ret_event);
    }
    if (sent)
        counters_add(store->settings.counters, COUNTER_CACHE_STORES, 1);
    bytes_free(&record);
    bytes_free(&judged);
    return sent;
}

void cache_store_release(struct cache_store *store, struct redis_connection *connection,
                         struct span key, const struct store_lease *lease, int64_t *budget,
                         struct error *ret_event)
{
    char name[STORE_NAME_SIZE];
    if (!lease->held || !store_lease_name(store, key, name))
        return;
    const struct span words[] = {SPAN_LITERAL("EVAL"), span_of(script_release), SPAN_LITERAL("1"),
                                 span_of(name), span_of(lease->owner)};
    store_post(store, connection, words, ARRAY_COUNT(words), budget, ret_event);
}
