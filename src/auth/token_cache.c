#include "auth/token_cache.h"

#include <pthread.h>
#include <stdlib.h>

/* A token has WAYS places, in a set that its digest names; each shard of sets has a lock. */
#define SHARDS 16
#define SETS 64
#define WAYS 4

/* The texts of a principal one after the other, each terminated. */
enum text { TEXT_SUBJECT, TEXT_ROLE, TEXT_CLAIMS, TEXT_CANONICAL, TEXT_IDENTITY, TEXT_COUNT };

struct packed {
    size_t sizes[TEXT_COUNT];
    size_t size; /* of `bytes` */
    char bytes[];
};

struct place {
    struct token_name name;
    int64_t made, until;
    struct packed *packed; /* null: empty */
};

struct shard {
    pthread_mutex_t lock;
    struct place places[SETS][WAYS];
};

struct token_cache {
    struct shard shards[SHARDS];
};

static void texts_of(const struct principal *principal, struct span texts[static TEXT_COUNT])
{
    texts[TEXT_SUBJECT] = principal->subject;
    texts[TEXT_ROLE] = principal->role;
    texts[TEXT_CLAIMS] = principal->claims.text;
    texts[TEXT_CANONICAL] = principal->canonical;
    texts[TEXT_IDENTITY] = principal->identity;
}

/* Null: too large, or memory. */
static struct packed *pack(const struct principal *principal)
{
    struct span texts[TEXT_COUNT];
    size_t size = 0;
    texts_of(principal, texts);
    for (size_t i = 0; i < TEXT_COUNT; i++)
        size += texts[i].size + 1;
    struct packed *packed = size <= TOKEN_CACHE_TEXT_MAX ? calloc(1, sizeof *packed + size) : NULL;
    if (!packed)
        return NULL;
    packed->size = size;
    char *at = packed->bytes;
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        if (texts[i].size)
            memcpy(at, texts[i].data, texts[i].size);
        packed->sizes[i] = texts[i].size;
        at += texts[i].size + 1;
    }
    return packed;
}

static bool unpack(const struct packed *packed, struct arena *arena,
                   struct principal *ret_principal)
{
    struct span texts[TEXT_COUNT];
    char *at = arena_alloc(arena, packed->size);
    if (!at)
        return false;
    memcpy(at, packed->bytes, packed->size);
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        texts[i] = (struct span){.data = at, .size = packed->sizes[i]};
        at += packed->sizes[i] + 1;
    }
    *ret_principal = (struct principal){
        .subject = texts[TEXT_SUBJECT],
        .role = texts[TEXT_ROLE],
        .claims = {.kind = JSON_OBJECT, .text = texts[TEXT_CLAIMS]},
        .canonical = texts[TEXT_CANONICAL],
        .identity = texts[TEXT_IDENTITY],
    };
    return true;
}

struct token_cache *token_cache_new(void)
{
    struct token_cache *cache = calloc(1, sizeof *cache);
    for (size_t i = 0; cache && i < SHARDS; i++)
        pthread_mutex_init(&cache->shards[i].lock, NULL);
    return cache;
}

void token_cache_free(struct token_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        for (size_t set = 0; set < SETS; set++)
            for (size_t way = 0; way < WAYS; way++)
                free(cache->shards[i].places[set][way].packed);
        pthread_mutex_destroy(&cache->shards[i].lock);
    }
    free(cache);
}

static struct shard *shard_of(struct token_cache *cache, const struct token_name *name)
{
    return &cache->shards[name->digest[0] % SHARDS];
}

static struct place *set_of(struct shard *shard, const struct token_name *name)
{
    return shard->places[name->digest[1] % SETS];
}

/* A clock that was set back makes nothing younger. */
static bool place_counts(const struct place *place, int64_t now)
{
    return place->packed && now >= place->made && now < place->until;
}

static bool same_name(const struct token_name *a, const struct token_name *b)
{
    return a->generation == b->generation && memcmp(a->digest, b->digest, DIGEST_SIZE) == 0;
}

bool token_cache_get(struct token_cache *cache, const struct token_name *name, int64_t now,
                     struct arena *arena, struct principal *ret_principal)
{
    struct shard *shard = shard_of(cache, name);
    bool found = false;
    pthread_mutex_lock(&shard->lock);
    const struct place *set = set_of(shard, name);
    for (size_t i = 0; i < WAYS && !found; i++)
        found = same_name(&set[i].name, name) && place_counts(&set[i], now) &&
                unpack(set[i].packed, arena, ret_principal);
    pthread_mutex_unlock(&shard->lock);
    return found;
}

/* The token's own place, or one that counts no more, or the oldest. */
static struct place *place_choose(struct place *set, const struct token_name *name, int64_t now)
{
    struct place *chosen = &set[0];
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].packed && same_name(&set[i].name, name))
            return &set[i];
    for (size_t i = 0; i < WAYS; i++) {
        if (!place_counts(&set[i], now) || set[i].name.generation != name->generation)
            return &set[i];
        if (set[i].made < chosen->made)
            chosen = &set[i];
    }
    return chosen;
}

void token_cache_put(struct token_cache *cache, const struct token_name *name, int64_t now,
                     int64_t until, const struct principal *principal)
{
    int64_t most = now + TOKEN_CACHE_TIME;
    struct packed *packed = until > now ? pack(principal) : NULL;
    if (!packed)
        return;
    struct shard *shard = shard_of(cache, name);
    pthread_mutex_lock(&shard->lock);
    struct place *place = place_choose(set_of(shard, name), name, now);
    struct packed *old = place->packed;
    *place = (struct place){
        .name = *name, .made = now, .until = until < most ? until : most, .packed = packed};
    pthread_mutex_unlock(&shard->lock);
    free(old);
}
