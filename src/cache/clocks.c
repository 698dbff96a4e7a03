#include "cache/clocks.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/hash.h"
#include "base/shared_file.h"

#define FILE_MAGIC UINT64_C(0x31736b636f6c43)
#define SLOT_COUNT ((size_t)1 << 18)

typedef _Atomic uint64_t number;

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "clocks are shared between processes without a lock");

struct shared {
    number magic; /* changes with any change of this struct, of the hash or of its key */
    number newest;
    number seen;        /* the newest clock of Redis that was told */
    number alone;       /* the newest strike that Redis was not told of */
    uint64_t unused[4]; /* slots begin a line of the processor's cache */
    number slots[SLOT_COUNT];
};

struct clocks {
    struct shared *shared;
};

static const struct shared_file clocks_file = {
    .name = "clocks-1", .what = "the clocks", .magic = FILE_MAGIC, .size = sizeof(struct shared)};

static struct clocks *wrap(void *memory)
{
    struct clocks *clocks = malloc(sizeof *clocks);
    if (clocks)
        clocks->shared = memory;
    else
        munmap(memory, sizeof(struct shared));
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
    return memory ? wrap(memory) : NULL;
}

void clocks_close(struct clocks *clocks)
{
    if (!clocks)
        return;
    munmap(clocks->shared, sizeof *clocks->shared);
    free(clocks);
}

uint64_t clocks_hash(struct span tag)
{
    static const struct hash_key key = {
        {UINT64_C(0x6c61726465722074), UINT64_C(0x61672d636c6f636b)}};
    return hash_of(&key, tag);
}

static size_t slot_of(uint64_t hash)
{
    return hash & (SLOT_COUNT - 1);
}

static void raise_to(number *clock, uint64_t to)
{
    uint64_t now = atomic_load_explicit(clock, memory_order_relaxed);
    while (now < to && !atomic_compare_exchange_weak(clock, &now, to)) {
    }
}

void clocks_bump(struct clocks *clocks, uint64_t hash, uint64_t clock)
{
    raise_to(&clocks->shared->slots[slot_of(hash)], clock);
    raise_to(&clocks->shared->newest, clock);
}

void clocks_see(struct clocks *clocks, uint64_t clock)
{
    raise_to(&clocks->shared->seen, clock);
}

void clocks_strike_alone(struct clocks *clocks, const uint64_t *hashes, size_t count, uint64_t now)
{
    uint64_t newest = atomic_load(&clocks->shared->newest);
    uint64_t seen = atomic_load(&clocks->shared->seen);
    uint64_t known = newest > seen ? newest : seen;
    uint64_t clock = now > known ? now : known + 1;
    raise_to(&clocks->shared->alone, clock);
    for (size_t i = 0; i < count; i++)
        raise_to(&clocks->shared->slots[slot_of(hashes[i])], clock);
}

uint64_t clocks_alone(const struct clocks *clocks)
{
    return atomic_load_explicit(&clocks->shared->alone, memory_order_acquire);
}

uint64_t clocks_of(const struct clocks *clocks, uint64_t hash)
{
    return atomic_load_explicit(&clocks->shared->slots[slot_of(hash)], memory_order_acquire);
}

uint64_t clocks_newest(const struct clocks *clocks)
{
    return atomic_load(&clocks->shared->newest);
}

bool clocks_fresh(const struct clocks *clocks, const uint64_t *hashes, size_t count, uint64_t clock)
{
    for (size_t i = 0; i < count; i++)
        if (atomic_load_explicit(&clocks->shared->slots[slot_of(hashes[i])], memory_order_acquire) >
            clock)
            return false;
    return true;
}
