#include "cache/memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/hash.h"

/* Shards are a power of two, and none is smaller than this. */
#define SHARDS_MAX 16
#define SHARD_LEAST ((size_t)1 << 20)

/* One place in the table for so many bytes of answers, and two among the ghosts. */
#define BUCKET_BYTES ((size_t)1024)

/* The largest answer is this part of a shard, the small queue that part of its memory. */
#define LARGEST_PART 8
#define SMALL_PART 10

/* S3-FIFO's two bits a key, and how many uses in the small queue lead to the main one. */
#define USES_MAX 3
#define USES_TO_STAY 2

#define GHOSTS_LEAST 16

/* Bounds for the work of one put: places looked at for answers past their life, second chances. */
#define SWEEP_BUCKETS 16
#define CHANCES_MAX 64

/* What malloc adds to a block. */
#define MALLOC_OVERHEAD 16

enum queue_name {
    QUEUE_SMALL,
    QUEUE_MAIN,
    QUEUE_COUNT,
};

struct item {
    struct item *next;          /* of its bucket */
    struct item *newer, *older; /* of its queue */
    struct kept *kept;
    uint64_t hash;
    size_t size; /* with all that belongs to it */
    size_t key_size;
    unsigned uses;
    enum queue_name queue;
    char key[];
};

struct queue {
    struct item *newest, *oldest;
    size_t count, bytes;
};

/* A key that left the small queue: the upper half of its hash, and when in the order of leaving. */
struct ghost {
    uint32_t hash;
    uint32_t number;
};

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct queue queues[QUEUE_COUNT];
    struct item **buckets;
    struct ghost *ghosts;
    size_t sweep;  /* the bucket to be looked at next for answers past their life */
    uint32_t left; /* the small queue, without a second use */
};

struct memory {
    struct counters *counters;
    struct hash_key seed;
    size_t shard_count;  /* all these are powers of two */
    size_t bucket_count; /* of a shard */
    size_t ghost_count;
    size_t capacity; /* bytes of a shard's items */
    struct shard shards[];
};

/* What a change took out of a shard: freed when the lock is free again. */
struct removal {
    struct item *first; /* chained by `next` */
    int64_t bytes;      /* taken out, less those put in */
    int64_t evicted;
};

static size_t power_of_two(size_t most, size_t limit)
{
    size_t power = 1;
    while (power < limit && power * 2 <= most)
        power *= 2;
    return power;
}

static bool shard_begin(struct shard *shard, size_t buckets, size_t ghosts)
{
    pthread_mutex_init(&shard->lock, NULL);
    shard->buckets = calloc(buckets, sizeof *shard->buckets);
    shard->ghosts = calloc(ghosts, sizeof *shard->ghosts);
    shard->left = GHOSTS_LEAST + 1; /* so that empty places are of long ago */
    return shard->buckets && shard->ghosts;
}

static void sizes_set(struct memory *memory, size_t max_bytes)
{
    size_t part = max_bytes / memory->shard_count;
    memory->bucket_count = power_of_two(part / BUCKET_BYTES, SIZE_MAX / 4);
    memory->ghost_count = memory->bucket_count * 2;
    size_t tables = memory->bucket_count * sizeof(struct item *) +
                    memory->ghost_count * sizeof(struct ghost) + sizeof(struct shard);
    memory->capacity = part > tables ? part - tables : 0;
}

struct memory *memory_new(size_t max_bytes, struct counters *counters)
{
    size_t shards = power_of_two(max_bytes / SHARD_LEAST, SHARDS_MAX);
    size_t size = sizeof(struct memory) + shards * sizeof(struct shard);
    struct memory *memory = aligned_alloc(_Alignof(struct memory), size);
    if (!memory)
        return NULL;
    memset(memory, 0, size);
    memory->counters = counters;
    memory->shard_count = shards;
    sizes_set(memory, max_bytes);
    bool made = getentropy(&memory->seed, sizeof memory->seed) == 0;
    for (size_t i = 0; i < shards; i++)
        made = shard_begin(&memory->shards[i], memory->bucket_count, memory->ghost_count) && made;
    if (made)
        return memory;
    memory_free(memory);
    return NULL;
}

/* The shard is of the hash's highest bits, the bucket of its lowest. */
static struct shard *shard_of(struct memory *memory, uint64_t hash)
{
    return &memory->shards[(hash >> 56) & (memory->shard_count - 1)];
}

static struct item **bucket_of(const struct memory *memory, struct shard *shard, uint64_t hash)
{
    return &shard->buckets[hash & (memory->bucket_count - 1)];
}

static struct item *find(const struct memory *memory, struct shard *shard, uint64_t hash,
                         struct span key)
{
    struct item *item = *bucket_of(memory, shard, hash);
    while (item &&
           !(item->hash == hash && span_equal((struct span){item->key, item->key_size}, key)))
        item = item->next;
    return item;
}

static void queue_add(struct shard *shard, struct item *item, enum queue_name name)
{
    struct queue *queue = &shard->queues[name];
    item->queue = name;
    item->newer = NULL;
    item->older = queue->newest;
    *(queue->newest ? &queue->newest->newer : &queue->oldest) = item;
    queue->newest = item;
    queue->count++;
    queue->bytes += item->size;
}

static void queue_remove(struct shard *shard, struct item *item)
{
    struct queue *queue = &shard->queues[item->queue];
    *(item->newer ? &item->newer->older : &queue->newest) = item->older;
    *(item->older ? &item->older->newer : &queue->oldest) = item->newer;
    queue->count--;
    queue->bytes -= item->size;
}

static void add(const struct memory *memory, struct shard *shard, struct item *item,
                enum queue_name name, struct removal *removal)
{
    struct item **bucket = bucket_of(memory, shard, item->hash);
    item->next = *bucket;
    *bucket = item;
    queue_add(shard, item, name);
    removal->bytes -= (int64_t)item->size;
}

static void remove_item(const struct memory *memory, struct shard *shard, struct item *item,
                        struct removal *removal)
{
    struct item **link = bucket_of(memory, shard, item->hash);
    while (*link != item)
        link = &(*link)->next;
    *link = item->next;
    queue_remove(shard, item);
    item->next = removal->first;
    removal->first = item;
    removal->bytes += (int64_t)item->size;
}

static void items_free(struct item *first)
{
    while (first) {
        struct item *next = first->next;
        kept_unref(first->kept);
        free(first);
        first = next;
    }
}

static void count(const struct memory *memory, enum counter counter, int64_t amount)
{
    if (memory->counters && amount)
        counters_add(memory->counters, counter, amount);
}

/* When the lock is free again. */
static void removal_end(const struct memory *memory, const struct removal *removal)
{
    items_free(removal->first);
    count(memory, COUNTER_L1_EVICTIONS, removal->evicted);
    count(memory, COUNTER_L1_BYTES, -removal->bytes);
}

static struct ghost *ghost_of(const struct memory *memory, struct shard *shard, uint64_t hash)
{
    return &shard->ghosts[hash & (memory->ghost_count - 1)];
}

static void ghost_add(const struct memory *memory, struct shard *shard, uint64_t hash)
{
    *ghost_of(memory, shard, hash) =
        (struct ghost){.hash = (uint32_t)(hash >> 32), .number = shard->left++};
}

/* As many ghosts are remembered as there are answers in the main queue. */
static bool ghost_known(const struct memory *memory, struct shard *shard, uint64_t hash)
{
    const struct ghost *ghost = ghost_of(memory, shard, hash);
    size_t most = shard->queues[QUEUE_MAIN].count;
    return ghost->hash == (uint32_t)(hash >> 32) &&
           shard->left - ghost->number <= (most > GHOSTS_LEAST ? most : GHOSTS_LEAST);
}

static bool over(const struct item *item, int64_t now)
{
    return kept_end(item->kept) <= now;
}

static void evict(const struct memory *memory, struct shard *shard, struct item *item,
                  struct removal *removal)
{
    remove_item(memory, shard, item, removal);
    removal->evicted++;
}

/* A few buckets on every call, so that what nobody asks for any more goes before what is asked. */
static void sweep(const struct memory *memory, struct shard *shard, int64_t now,
                  struct removal *removal)
{
    for (size_t i = 0; i < SWEEP_BUCKETS; i++) {
        struct item *next, *item = shard->buckets[shard->sweep++ & (memory->bucket_count - 1)];
        for (; item; item = next) {
            next = item->next;
            if (over(item, now))
                evict(memory, shard, item, removal);
        }
    }
}

static void small_evict(const struct memory *memory, struct shard *shard, int64_t now,
                        struct removal *removal)
{
    struct item *item = shard->queues[QUEUE_SMALL].oldest;
    if (item->uses >= USES_TO_STAY && !over(item, now)) {
        queue_remove(shard, item);
        item->uses = 0;
        queue_add(shard, item, QUEUE_MAIN);
        return;
    }
    if (!over(item, now))
        ghost_add(memory, shard, item->hash);
    evict(memory, shard, item, removal);
}

static void main_evict(const struct memory *memory, struct shard *shard, int64_t now,
                       struct removal *removal)
{
    struct item *item = shard->queues[QUEUE_MAIN].oldest;
    for (size_t chances = 0; item->uses && !over(item, now) && chances < CHANCES_MAX; chances++) {
        queue_remove(shard, item);
        item->uses--;
        queue_add(shard, item, QUEUE_MAIN);
        item = shard->queues[QUEUE_MAIN].oldest;
    }
    evict(memory, shard, item, removal);
}

static size_t shard_bytes(const struct shard *shard)
{
    return shard->queues[QUEUE_SMALL].bytes + shard->queues[QUEUE_MAIN].bytes;
}

/* `size` is at most the capacity, so the queues are not both empty while there is no room. */
static void make_room(const struct memory *memory, struct shard *shard, size_t size, int64_t now,
                      struct removal *removal)
{
    if (shard_bytes(shard) + size > memory->capacity)
        sweep(memory, shard, now, removal);
    while (shard_bytes(shard) + size > memory->capacity) {
        size_t small = shard->queues[QUEUE_SMALL].bytes;
        if (small && (small >= memory->capacity / SMALL_PART || !shard->queues[QUEUE_MAIN].count))
            small_evict(memory, shard, now, removal);
        else
            main_evict(memory, shard, now, removal);
    }
}

struct kept *memory_get(struct memory *memory, struct span key, int64_t now)
{
    uint64_t hash = hash_of(&memory->seed, key);
    struct shard *shard = shard_of(memory, hash);
    struct removal removal = {0};
    struct kept *kept = NULL;
    pthread_mutex_lock(&shard->lock);
    struct item *item = find(memory, shard, hash, key);
    if (item && over(item, now)) {
        evict(memory, shard, item, &removal);
    } else if (item) {
        kept = kept_ref(item->kept);
        item->uses += item->uses < USES_MAX;
    }
    pthread_mutex_unlock(&shard->lock);
    removal_end(memory, &removal);
    return kept;
}

static size_t item_size(struct span key, const struct kept *kept)
{
    return sizeof(struct item) + key.size + MALLOC_OVERHEAD + kept_size(kept);
}

static struct item *item_new(uint64_t hash, struct span key, struct kept *kept)
{
    struct item *item = malloc(sizeof *item + key.size);
    if (!item)
        return NULL;
    *item = (struct item){.hash = hash, .key_size = key.size, .size = item_size(key, kept)};
    if (key.size)
        memcpy(item->key, key.data, key.size);
    item->kept = kept_ref(kept);
    return item;
}

static bool is_newer(const struct kept *one, const struct kept *other)
{
    return kept_clock(one) > kept_clock(other) && kept_created(one) > kept_created(other);
}

/* Puts the item where it belongs; false: what is there under its key is newer. */
static bool admit(struct memory *memory, struct shard *shard, struct item *item, int64_t now,
                  struct removal *removal)
{
    struct span key = {item->key, item->key_size};
    struct item *old = find(memory, shard, item->hash, key);
    enum queue_name queue = QUEUE_SMALL;
    if (old && is_newer(old->kept, item->kept))
        return false;
    if (old) {
        queue = old->queue;
        item->uses = old->uses;
        remove_item(memory, shard, old, removal);
    } else if (ghost_known(memory, shard, item->hash)) {
        queue = QUEUE_MAIN;
    }
    make_room(memory, shard, item->size, now, removal);
    add(memory, shard, item, queue, removal);
    return true;
}

bool memory_put(struct memory *memory, struct span key, struct kept *kept, int64_t now)
{
    uint64_t hash = hash_of(&memory->seed, key);
    struct shard *shard = shard_of(memory, hash);
    struct removal removal = {0};
    bool fits = item_size(key, kept) <= memory->capacity / LARGEST_PART && kept_end(kept) > now;
    struct item *item = fits ? item_new(hash, key, kept) : NULL;
    if (!item) {
        memory_drop(memory, key);
        return false;
    }
    pthread_mutex_lock(&shard->lock);
    bool admitted = admit(memory, shard, item, now, &removal);
    pthread_mutex_unlock(&shard->lock);
    removal_end(memory, &removal);
    if (admitted)
        count(memory, COUNTER_L1_STORES, 1);
    else
        items_free(item);
    return admitted;
}

void memory_drop(struct memory *memory, struct span key)
{
    uint64_t hash = hash_of(&memory->seed, key);
    struct shard *shard = shard_of(memory, hash);
    struct removal removal = {0};
    pthread_mutex_lock(&shard->lock);
    struct item *item = find(memory, shard, hash, key);
    if (item)
        remove_item(memory, shard, item, &removal);
    pthread_mutex_unlock(&shard->lock);
    removal_end(memory, &removal);
}

static void queue_clear(const struct memory *memory, struct shard *shard, enum queue_name name,
                        struct removal *removal)
{
    while (shard->queues[name].oldest)
        remove_item(memory, shard, shard->queues[name].oldest, removal);
}

static void shard_clear(const struct memory *memory, struct shard *shard)
{
    struct removal removal = {0};
    pthread_mutex_lock(&shard->lock);
    for (enum queue_name name = 0; name < QUEUE_COUNT; name++)
        queue_clear(memory, shard, name, &removal);
    pthread_mutex_unlock(&shard->lock);
    removal_end(memory, &removal);
}

void memory_clear(struct memory *memory)
{
    for (size_t i = 0; i < memory->shard_count; i++)
        shard_clear(memory, &memory->shards[i]);
    count(memory, COUNTER_L1_CLEARS, 1);
}

void memory_free(struct memory *memory)
{
    if (!memory)
        return;
    for (size_t i = 0; i < memory->shard_count; i++) {
        struct shard *shard = &memory->shards[i];
        shard_clear(memory, shard);
        pthread_mutex_destroy(&shard->lock);
        free(shard->buckets);
        free(shard->ghosts);
    }
    free(memory);
}

void memory_stats(struct memory *memory, struct memory_stats *ret_stats)
{
    *ret_stats = (struct memory_stats){.largest = memory->capacity / LARGEST_PART};
    for (size_t i = 0; i < memory->shard_count; i++) {
        struct shard *shard = &memory->shards[i];
        pthread_mutex_lock(&shard->lock);
        for (enum queue_name name = 0; name < QUEUE_COUNT; name++)
            ret_stats->count += shard->queues[name].count;
        ret_stats->bytes += shard_bytes(shard);
        pthread_mutex_unlock(&shard->lock);
    }
}
