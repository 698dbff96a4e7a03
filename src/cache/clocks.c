#include "cache/clocks.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/shared_file.h"

#define FILE_MAGIC UINT64_C(0x35736b636f6c43)
#define SLOT_COUNT ((size_t)1 << 18)

/* So many that the strikes awaited at a moment hide next to none of an answer's many tags. */
#define AWAIT_COUNT ((size_t)1 << 16)

/*
 * Tags that share no slot: that of all entries, `*`, and `larder:definitions`. With millions of
 * tags there is one on any slot, and whenever it is struck all entries would count as struck, or
 * all routes would be learnt anew.
 */
static const uint64_t own[] = {UINT64_C(0x2173ab14281549b4), UINT64_C(0xbadbce5851ab6cab)};

typedef _Atomic uint64_t number;

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "clocks are shared between processes without a lock");

struct shared {
    number magic; /* changes with any change of this struct, of the hash or of its key */
    number newest;
    number seen;        /* the newest clock of Redis that was told */
    number alone;       /* the newest strike that Redis was not told of */
    number arrived;     /* monotonic µs: when the last awaited strike did */
    number changes;     /* of slots, by bumps */
    number heard;       /* all bumps up to this one are in the slots */
    uint64_t unused[1]; /* slots begin a line of the processor's cache */
    number slots[SLOT_COUNT + ARRAY_COUNT(own)];
    number awaited[AWAIT_COUNT + ARRAY_COUNT(own)]; /* struct awaited */
};

/* How many strikes of a place are awaited, by the period in which that began. */
struct awaited {
    uint32_t period; /* of CLOCKS_AWAIT_LEAST, since the machine's start */
    uint16_t before; /* begun in the period before */
    uint16_t now;
};

struct clocks {
    struct shared *shared;
    bool is_private;
};

static const struct shared_file clocks_file = {
    .name = "clocks-1", .what = "the clocks", .magic = FILE_MAGIC, .size = sizeof(struct shared)};

static struct clocks *wrap(void *memory)
{
    struct clocks *clocks = malloc(sizeof *clocks);
    if (clocks)
        *clocks = (struct clocks){.shared = memory};
    else
        shared_file_unmap(&clocks_file, memory);
    return clocks;
}

bool clocks_open(const char *folder, struct clocks **ret_clocks, struct error *error)
{
    void *memory;
    if (!shared_file_map(folder, &clocks_file, &memory, error))
        return false;
    struct clocks *clocks = wrap(memory);
    if (!clocks)
        return error_set_memory(error);
    *ret_clocks = clocks;
    return true;
}

struct clocks *clocks_open_private(void)
{
    void *memory = shared_file_private(&clocks_file);
    struct clocks *clocks = memory ? wrap(memory) : NULL;
    if (clocks)
        clocks->is_private = true;
    return clocks;
}

bool clocks_shared(const struct clocks *clocks)
{
    return !clocks->is_private;
}

void clocks_close(struct clocks *clocks)
{
    if (!clocks)
        return;
    shared_file_unmap(&clocks_file, clocks->shared);
    free(clocks);
}

uint64_t clocks_hash(struct span tag)
{
    static const struct hash_key key = {
        {UINT64_C(0x6c61726465722074), UINT64_C(0x61672d636c6f636b)}};
    return hash_of(&key, tag);
}

/* Among `count` (a power of two) and, behind them, the own ones. */
static size_t index_of(uint64_t hash, size_t count)
{
    for (size_t i = 0; i < ARRAY_COUNT(own); i++)
        if (hash == own[i])
            return count + i;
    return hash & (count - 1);
}

static number *slot_of(const struct clocks *clocks, uint64_t hash)
{
    return &clocks->shared->slots[index_of(hash, SLOT_COUNT)];
}

/* False: it was that far. */
static bool raise_to(number *clock, uint64_t to)
{
    uint64_t now = atomic_load_explicit(clock, memory_order_relaxed);
    while (now < to)
        if (atomic_compare_exchange_weak(clock, &now, to))
            return true;
    return false;
}

void clocks_bump(struct clocks *clocks, uint64_t hash, uint64_t clock)
{
    if (raise_to(slot_of(clocks, hash), clock))
        atomic_fetch_add(&clocks->shared->changes, 1);
    raise_to(&clocks->shared->newest, clock);
}

uint64_t clocks_changes(const struct clocks *clocks)
{
    return atomic_load(&clocks->shared->changes);
}

void clocks_see(struct clocks *clocks, uint64_t clock)
{
    raise_to(&clocks->shared->seen, clock);
}

uint64_t clocks_known(const struct clocks *clocks)
{
    uint64_t newest = atomic_load(&clocks->shared->newest);
    uint64_t seen = atomic_load(&clocks->shared->seen);
    return newest > seen ? newest : seen;
}

void clocks_strike_alone(struct clocks *clocks, const uint64_t *hashes, size_t count, uint64_t now)
{
    uint64_t known = clocks_known(clocks);
    uint64_t clock = now > known ? now : known + 1;
    raise_to(&clocks->shared->alone, clock);
    for (size_t i = 0; i < count; i++)
        raise_to(slot_of(clocks, hashes[i]), clock);
}

uint64_t clocks_alone(const struct clocks *clocks)
{
    return atomic_load_explicit(&clocks->shared->alone, memory_order_acquire);
}

uint64_t clocks_of(const struct clocks *clocks, uint64_t hash)
{
    return atomic_load_explicit(slot_of(clocks, hash), memory_order_acquire);
}

uint64_t clocks_newest(const struct clocks *clocks)
{
    return atomic_load(&clocks->shared->newest);
}

void clocks_hear(struct clocks *clocks, uint64_t clock)
{
    raise_to(&clocks->shared->heard, clock);
}

uint64_t clocks_heard(const struct clocks *clocks)
{
    return atomic_load(&clocks->shared->heard);
}

static number *place_of(const struct clocks *clocks, uint64_t hash)
{
    return &clocks->shared->awaited[index_of(hash, AWAIT_COUNT)];
}

static uint32_t period_of(int64_t now)
{
    return (uint32_t)(now / CLOCKS_AWAIT_LEAST);
}

/*
 * What stands in a place, as of this period or of the next, which others may have begun: nobody
 * still comes for what began two periods ago.
 */
static struct awaited awaited_of(uint64_t packed, uint32_t period)
{
    struct awaited awaited = {.period = (uint32_t)(packed >> 32),
                              .before = (uint16_t)(packed >> 16),
                              .now = (uint16_t)packed};
    if (awaited.period == period || awaited.period == period + 1)
        return awaited;
    uint16_t before = awaited.period + 1 == period ? awaited.now : 0;
    return (struct awaited){.period = period, .before = before};
}

static uint64_t awaited_packed(struct awaited awaited)
{
    return (uint64_t)awaited.period << 32 | (uint64_t)awaited.before << 16 | awaited.now;
}

/* The count of those that began in that period; null: it is forgotten. */
static uint16_t *awaited_count(struct awaited *awaited, uint32_t begun)
{
    if (awaited->period == begun)
        return &awaited->now;
    return awaited->period == begun + 1 ? &awaited->before : NULL;
}

static void await_one(number *place, uint32_t begun)
{
    uint64_t packed = atomic_load(place);
    struct awaited awaited;
    do {
        awaited = awaited_of(packed, begun);
        ++*awaited_count(&awaited, begun);
    } while (!atomic_compare_exchange_weak(place, &packed, awaited_packed(awaited)));
}

static void arrive_one(number *place, uint32_t begun, uint32_t period)
{
    uint64_t packed = atomic_load(place);
    struct awaited awaited;
    do {
        awaited = awaited_of(packed, period);
        uint16_t *count = awaited_count(&awaited, begun);
        if (!count || !*count)
            return; /* forgotten: what stands there is others' */
        --*count;
    } while (!atomic_compare_exchange_weak(place, &packed, awaited_packed(awaited)));
}

/* A time still to come is of before the machine's last start. */
static void arrived_raise(number *arrived, uint64_t now)
{
    uint64_t last = atomic_load(arrived);
    while ((last < now || last > now + (uint64_t)CLOCKS_AWAIT_LEAST) &&
           !atomic_compare_exchange_weak(arrived, &last, now)) {
    }
}

uint32_t clocks_await(struct clocks *clocks, const uint64_t *hashes, size_t count, int64_t now)
{
    uint32_t begun = period_of(now);
    for (size_t i = 0; i < count; i++)
        await_one(place_of(clocks, hashes[i]), begun);
    return begun;
}

void clocks_arrive(struct clocks *clocks, const uint64_t *hashes, size_t count, uint32_t awaited,
                   int64_t now)
{
    arrived_raise(&clocks->shared->arrived, (uint64_t)now);
    for (size_t i = 0; i < count; i++)
        arrive_one(place_of(clocks, hashes[i]), awaited, period_of(now));
}

bool clocks_awaits(const struct clocks *clocks, const uint64_t *hashes, size_t count, int64_t now)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t packed = atomic_load_explicit(place_of(clocks, hashes[i]), memory_order_acquire);
        if (!(uint32_t)packed) /* both counts: whatever the period, nothing is awaited */
            continue;
        struct awaited awaited = awaited_of(packed, period_of(now));
        if (awaited.before || awaited.now)
            return true;
    }
    return false;
}

bool clocks_arrived(const struct clocks *clocks, int64_t since)
{
    return (int64_t)atomic_load(&clocks->shared->arrived) >= since;
}

bool clocks_fresh(const struct clocks *clocks, const uint64_t *hashes, size_t count, uint64_t clock)
{
    for (size_t i = 0; i < count; i++)
        if (atomic_load_explicit(slot_of(clocks, hashes[i]), memory_order_acquire) > clock)
            return false;
    return true;
}
