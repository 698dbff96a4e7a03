/*
 * The cache in the responder's own memory (L1): answers under their keys, bounded in bytes.
 *
 * S3-FIFO (Yang, Zhang, Qiu, Yue, Vinayak: "FIFO queues are all you need for cache eviction",
 * SOSP 2023). New keys enter a small queue of a tenth of the memory; who is asked for again on the
 * way through it goes on to the main queue, who is not leaves, remembered by its hash alone. So a
 * scan of keys that are asked for once passes through the tenth and the rest stays.
 *
 * Invariants: the memory of all answers, their keys and the bookkeeping is at most max_bytes; an
 * answer that somebody still sends may outlive its place here. Keys are hashed under a secret of
 * the process and compared whole. Whether an answer is still fresh is the caller's to judge: here
 * is only the time of its whole life, stale windows included. Thread-safe; no call but memory_new
 * asks the system for anything but heap.
 */
#ifndef LARDER_CACHE_MEMORY_H
#define LARDER_CACHE_MEMORY_H

#include "base/counters.h"
#include "cache/kept.h"

struct memory;

struct memory_stats {
    size_t count;   /* answers */
    size_t bytes;   /* of memory, as bounded */
    size_t largest; /* the largest answer, with its key, that is admitted */
};

/*
 * `counters` counts stores, evictions, clears and bytes; null: nobody does. Hits and misses are the
 * caller's, who judges. Null: memory.
 */
struct memory *memory_new(size_t max_bytes, struct counters *counters) MUST_CHECK;

/* When no other thread uses it. Null is allowed. */
void memory_free(struct memory *memory);

/*
 * The answer under the key, with a reference for the caller; null: none, or its life is over at
 * `now` (wall clock, µs).
 */
struct kept *memory_get(struct memory *memory, struct span key, int64_t now) MUST_CHECK;

/*
 * Keeps the answer under the key, with a reference of its own, in place of what was there. False:
 * not kept, since it is larger than an eighth of its shard, its life is over, what is there is
 * newer (by clock and by creation), or memory is out.
 */
bool memory_put(struct memory *memory, struct span key, struct kept *kept, int64_t now);

void memory_drop(struct memory *memory, struct span key);

void memory_clear(struct memory *memory);

void memory_stats(struct memory *memory, struct memory_stats *ret_stats);

#endif
