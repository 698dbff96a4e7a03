#include "cache/urls.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/shared_file.h"
#include "cache/bump.h"

#define FILE_MAGIC UINT64_C(0x32736c7275)
#define BUCKET_COUNT ((size_t)1024)
#define BUCKET_SIZE ((size_t)8)

/* nginx counts in whole seconds, so it may serve an answer this much longer than it was told. */
#define NGINX_LATE (2 * INT64_C(1000000))

/* How long a bucket is waited for, and when its holder counts as dead: µs. */
#define LOCK_PAUSE 20
#define LOCK_TRIES 50
#define LOCK_DEAD (1 * INT64_C(1000000))

struct record {
    uint64_t key; /* 0: free */
    uint64_t sum; /* of all that follows: two who wrote at once leave no record */
    uint64_t clock;
    uint64_t version; /* of the route; 0: it is not answered by that any more */
    int64_t asked;    /* when a client's request last caused it */
    int64_t until;
    uint32_t target_size;
    uint16_t coding;
    uint16_t hash_count;
    uint64_t hashes[ENTRY_TAGS_MAX];
    char target[URLS_TARGET_MAX];
};

struct bucket {
    _Atomic int64_t holder; /* since when it is held, in monotonic µs; 0: free */
    struct record records[BUCKET_SIZE];
};

struct shared {
    uint64_t magic;
    _Atomic uint64_t notes;
    /* Has the bucket ever held a record? The scan passes the others over. */
    _Atomic bool used[BUCKET_COUNT];
    struct bucket buckets[BUCKET_COUNT];
};

struct urls {
    struct shared *shared;
};

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "the locks are shared between processes");

static const struct shared_file urls_file = {
    .name = "urls-3", .what = "the URLs", .magic = FILE_MAGIC, .size = sizeof(struct shared)};

static const struct hash_key hash_key = {
    {UINT64_C(0x6c61726465722075), UINT64_C(0x726c2d6d656d6f72)}};

const char *const url_coding_names[URL_CODING_COUNT] = {
    [URL_IDENTITY] = "identity", [URL_GZIP] = "gzip", [URL_BROTLI] = "br, gzip"};

bool url_coding_of(struct span accept_encoding, enum url_coding *ret_coding)
{
    for (enum url_coding coding = 0; coding < URL_CODING_COUNT; coding++) {
        if (span_is(accept_encoding, url_coding_names[coding])) {
            *ret_coding = coding;
            return true;
        }
    }
    return false;
}

bool urls_open(const char *folder, struct urls **ret_urls, struct error *error)
{
    void *memory;
    struct urls *urls = malloc(sizeof *urls);
    if (!urls)
        return error_set_memory(error);
    if (!shared_file_map(folder, &urls_file, &memory, error)) {
        free(urls);
        return false;
    }
    urls->shared = memory;
    *ret_urls = urls;
    return true;
}

void urls_close(struct urls *urls)
{
    if (!urls)
        return;
    shared_file_unmap(&urls_file, urls->shared);
    free(urls);
}

/* *ret_token is what to give back. A holder that was stopped may wake up after it was robbed: then
 * its record's sum is wrong. */
static bool bucket_lock(struct bucket *bucket, int64_t *ret_token)
{
    for (int tries = 0; tries < LOCK_TRIES; tries++) {
        int64_t now = clock_monotonic(), holder = 0;
        if (atomic_compare_exchange_strong(&bucket->holder, &holder, now) ||
            (now - holder > LOCK_DEAD &&
             atomic_compare_exchange_strong(&bucket->holder, &holder, now))) {
            *ret_token = now;
            return true;
        }
        usleep(LOCK_PAUSE);
    }
    return false;
}

static void bucket_unlock(struct bucket *bucket, int64_t token)
{
    atomic_compare_exchange_strong(&bucket->holder, &token, 0);
}

static uint64_t key_of(struct span target, enum url_coding coding)
{
    uint64_t key = hash_of(&hash_key, target) + (uint64_t)coding;
    return key ? key : 1;
}

static struct bucket *bucket_of(const struct urls *urls, uint64_t key)
{
    return &urls->shared->buckets[(key >> 8) % BUCKET_COUNT];
}

static uint64_t sum_of(const struct record *record)
{
    const char *begin = (const char *)&record->clock;
    size_t fixed = offsetof(struct record, hashes) - offsetof(struct record, clock);
    struct span parts[] = {{begin, fixed + record->hash_count * sizeof record->hashes[0]},
                           {record->target, record->target_size}};
    return hash_of(&hash_key, parts[0]) ^ hash_of(&hash_key, parts[1]) ^ record->key;
}

static bool record_is_whole(const struct record *record)
{
    return record->key && record->hash_count <= ENTRY_TAGS_MAX &&
           record->target_size <= URLS_TARGET_MAX && record->coding < URL_CODING_COUNT &&
           record->sum == sum_of(record);
}

static bool record_is_of(const struct record *record, uint64_t key, struct span target)
{
    return record->key == key && record_is_whole(record) &&
           span_equal((struct span){record->target, record->target_size}, target);
}

static struct record *bucket_find(struct bucket *bucket, uint64_t key, struct span target)
{
    for (size_t i = 0; i < BUCKET_SIZE; i++)
        if (record_is_of(&bucket->records[i], key, target))
            return &bucket->records[i];
    return NULL;
}

static bool record_is_over(const struct record *record, int64_t now)
{
    return !record_is_whole(record) || record->until + NGINX_LATE <= now;
}

/* Null: all places are of answers that nginx may still serve. */
static struct record *bucket_place(struct bucket *bucket, int64_t now)
{
    for (size_t i = 0; i < BUCKET_SIZE; i++)
        if (record_is_over(&bucket->records[i], now))
            return &bucket->records[i];
    return NULL;
}

static void record_write(struct record *record, const struct url_note *note, uint64_t key,
                         int64_t asked, int64_t until)
{
    record->key = 0;
    record->clock = note->clock;
    record->version = note->version;
    record->asked = asked;
    record->until = until;
    record->target_size = (uint32_t)note->target.size;
    record->coding = (uint16_t)note->coding;
    record->hash_count = (uint16_t)note->tag_count;
    for (size_t i = 0; i < note->tag_count; i++)
        record->hashes[i] = clocks_hash(note->tags[i]);
    memcpy(record->target, note->target.data, note->target.size);
    record->key = key;
    record->sum = sum_of(record);
}

/* larderd sends it as it is: nothing that could end the request line. */
static bool target_is_sendable(struct span target)
{
    if (target.size > URLS_TARGET_MAX || !target.size || target.data[0] != '/')
        return false;
    for (size_t i = 0; i < target.size; i++)
        if ((unsigned char)target.data[i] <= ' ' || target.data[i] == 0x7f)
            return false;
    return true;
}

/* When the client asked on whose account the answer is kept; 0: there is none any more. */
static int64_t asked_at(const struct record *record, const struct url_note *note, int64_t now)
{
    if (!note->refresh)
        return now;
    return record && record->asked + note->ttl > now ? record->asked : 0;
}

bool urls_note(struct urls *urls, const struct url_note *note, int64_t now, int64_t *ret_until)
{
    uint64_t key = key_of(note->target, note->coding);
    struct bucket *bucket = bucket_of(urls, key);
    int64_t token;
    if (!target_is_sendable(note->target) || note->tag_count > ENTRY_TAGS_MAX ||
        !bucket_lock(bucket, &token))
        return false;
    struct record *record = bucket_find(bucket, key, note->target);
    int64_t asked = asked_at(record, note, now), until = asked + note->ttl;
    if (asked && !record)
        record = bucket_place(bucket, now);
    if (asked && record)
        record_write(record, note, key, asked, until);
    bucket_unlock(bucket, token);
    if (!asked || !record)
        return false;
    atomic_store(&urls->shared->used[bucket - urls->shared->buckets], true);
    atomic_fetch_add(&urls->shared->notes, 1);
    *ret_until = until;
    return true;
}

void urls_forget(struct urls *urls, struct span target, enum url_coding coding)
{
    uint64_t key = key_of(target, coding);
    struct bucket *bucket = bucket_of(urls, key);
    int64_t token;
    if (!bucket_lock(bucket, &token))
        return;
    struct record *record = bucket_find(bucket, key, target);
    if (record)
        record->key = 0;
    bucket_unlock(bucket, token);
}

uint64_t urls_notes(const struct urls *urls)
{
    return atomic_load(&urls->shared->notes);
}

static void record_outdate(struct record *record, int64_t now, urls_current is_current,
                           void *context)
{
    struct span target = {record->target, record->target_size};
    if (!record->key || record_is_over(record, now) || !record->version ||
        is_current(context, target, record->version))
        return;
    record->version = 0;
    record->sum = sum_of(record);
}

static bool bucket_outdate(struct bucket *bucket, int64_t now, urls_current is_current,
                           void *context)
{
    int64_t token;
    if (!bucket_lock(bucket, &token))
        return false;
    for (size_t i = 0; i < BUCKET_SIZE; i++)
        record_outdate(&bucket->records[i], now, is_current, context);
    bucket_unlock(bucket, token);
    return true;
}

bool urls_outdate(struct urls *urls, int64_t now, urls_current is_current, void *context)
{
    bool all = true, any = false;
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        if (!atomic_load(&urls->shared->used[i]))
            continue;
        any = true;
        if (!bucket_outdate(&urls->shared->buckets[i], now, is_current, context))
            all = false;
    }
    if (any)
        atomic_fetch_add(&urls->shared->notes, 1);
    return all;
}

static bool record_is_stale(const struct record *record, const struct clocks *clocks, int64_t now)
{
    const uint64_t all = clocks_hash(SPAN_LITERAL(CACHE_TAG_ALL));
    return record->key && !record_is_over(record, now) &&
           (!record->version ||
            !clocks_fresh(clocks, record->hashes, record->hash_count, record->clock) ||
            !clocks_fresh(clocks, &all, 1, record->clock));
}

static void found_fill(const struct record *record, struct url_found *ret_found)
{
    ret_found->key = record->key;
    ret_found->clock = record->clock;
    ret_found->until = record->until;
    ret_found->coding = record->coding;
    memcpy(ret_found->target, record->target, record->target_size);
    ret_found->target[record->target_size] = '\0';
}

/* From the look's place to the bucket's end. */
static bool bucket_stale_next(struct bucket *bucket, const struct clocks *clocks, int64_t now,
                              struct urls_look *look, struct url_found *ret_found)
{
    int64_t token;
    bool found = false;
    size_t end = look->place - look->place % BUCKET_SIZE + BUCKET_SIZE;
    if (!bucket_lock(bucket, &token)) {
        look->place = end;
        look->passed_over = true;
        return false;
    }
    while (!found && look->place < end) {
        const struct record *record = &bucket->records[look->place++ % BUCKET_SIZE];
        found = record_is_stale(record, clocks, now);
        if (found)
            found_fill(record, ret_found);
    }
    bucket_unlock(bucket, token);
    return found;
}

bool urls_stale_next(struct urls *urls, const struct clocks *clocks, int64_t now,
                     struct urls_look *look, struct url_found *ret_found)
{
    while (look->place < BUCKET_COUNT * BUCKET_SIZE) {
        size_t number = look->place / BUCKET_SIZE;
        if (!atomic_load(&urls->shared->used[number]))
            look->place = (number + 1) * BUCKET_SIZE;
        else if (bucket_stale_next(&urls->shared->buckets[number], clocks, now, look, ret_found))
            return true;
    }
    return false;
}
