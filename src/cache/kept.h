/*
 * An answer kept in memory: an entry's metadata, some or all of its bodies, and its tags' hashes
 * for the table of clocks (cache/clocks.h).
 *
 * One block, never changed after it was made, so threads share it without a lock. References are
 * counted atomically; whoever holds one may use every span it was given until kept_unref.
 */
#ifndef LARDER_CACHE_KEPT_H
#define LARDER_CACHE_KEPT_H

#include "cache/entry.h"

struct kept;

/*
 * Copies all it is given, bodies[coding] where its data is not null (only of meta->variants, of
 * meta->sizes). The first reference is the caller's. Null: memory.
 */
struct kept *kept_new(const struct entry_meta *meta,
                      const struct span bodies[CODING_COUNT]) MUST_CHECK;

/*
 * The bodies of both under the metadata of `newer`, as a new one. Null: memory, or the two are not
 * one answer (tag, variants and their sizes).
 */
struct kept *kept_merge(const struct kept *newer, const struct kept *older) MUST_CHECK;

struct kept *kept_ref(struct kept *kept);

/* Null is allowed. */
void kept_unref(struct kept *kept);

/* Bytes of memory, the allocator's own included. */
size_t kept_size(const struct kept *kept);

/* The metadata; its spans live as long as the caller's reference. */
void kept_meta(const struct kept *kept, struct entry_meta *ret_meta);

/* The body; null data: not held. */
struct span kept_body(const struct kept *kept, enum coding coding);

/* CODING_BIT mask of the bodies held. */
unsigned kept_held(const struct kept *kept);

/* The tags' hashes, for clocks_fresh. */
const uint64_t *kept_hashes(const struct kept *kept, size_t *ret_count);

/* The logical clock read before the query. */
uint64_t kept_clock(const struct kept *kept);

/* µs of freshness from its creation. */
int64_t kept_ttl(const struct kept *kept);

/* When the query began, and when not even the stale windows last any more: wall clock, µs. */
int64_t kept_created(const struct kept *kept);
int64_t kept_end(const struct kept *kept);

#endif
