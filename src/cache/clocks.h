/*
 * The tag clocks a host knows, in memory that all its responders share.
 *
 * A slot holds the newest clock of all tags whose hash falls on it, so an entry's tag was struck
 * after the entry's fill only if its slot is above the entry's clock. Two tags on one slot cost a
 * miss, never a stale answer; nothing is ever taken out, so there is no bound to keep. Lock-free,
 * for any thread and process.
 *
 * The memory is the file clocks-1 in LARDER_RUN. A file that is not a whole one of this format is
 * replaced by a new one under the same name: who has the old one mapped keeps it.
 */
#ifndef LARDER_CACHE_CLOCKS_H
#define LARDER_CACHE_CLOCKS_H

#include <stdint.h>

#include "base/error.h"
#include "base/span.h"

struct clocks;

/*
 * Opens or makes the file in `folder`. Fails with ERROR_SYSTEM when the folder can't be written,
 * or what is there is another user's or no file, ERROR_BUSY when another process holds the
 * folder's lock; clocks_open_private then gives memory of this process alone.
 */
MUST_CHECK bool clocks_open(const char *folder, struct clocks **ret_clocks, struct error *error);

/* Null on memory. */
struct clocks *clocks_open_private(void) MUST_CHECK;

/* Null is allowed. */
void clocks_close(struct clocks *clocks);

/* The same in every process of the host. */
uint64_t clocks_hash(struct span tag);

/* The tag of this hash was struck at `clock`; an older clock than the slot's changes nothing. */
void clocks_bump(struct clocks *clocks, uint64_t hash, uint64_t clock);

/*
 * Another number after each clocks_bump that changed anything. Bumps are not heard of in the order
 * of their clocks, and of one with several tags each by itself: clocks_newest says nothing of that.
 */
uint64_t clocks_changes(const struct clocks *clocks);

/* When the tag of this hash, or one that shares its slot, was struck last; 0: never. */
uint64_t clocks_of(const struct clocks *clocks, uint64_t hash);

/* The newest clock of any bump; 0: none yet. */
uint64_t clocks_newest(const struct clocks *clocks);

/*
 * All bumps up to this one are known here, since a process heard them one after the other;
 * clocks_newest says nothing of those before it. 0: none yet.
 */
void clocks_hear(struct clocks *clocks, uint64_t clock);
uint64_t clocks_heard(const struct clocks *clocks);

/* Redis' clock was at least this; it needs be no bump's. */
void clocks_see(struct clocks *clocks, uint64_t clock);

/* Redis' clock as far as this host has seen it, by bumps too: a bump made from now on is above it,
 * unless Redis has forgotten. */
uint64_t clocks_known(const struct clocks *clocks);

/*
 * Strikes that Redis can't be told of. Their number is at least `now` (wall clock, µs), and above
 * all that this host has seen; it can be ahead of Redis' clock, so it is never an answer's, and
 * clocks_newest does not tell it. clocks_alone is the newest of them; 0: none yet.
 */
void clocks_strike_alone(struct clocks *clocks, const uint64_t *hashes, size_t count, uint64_t now);
uint64_t clocks_alone(const struct clocks *clocks);

/*
 * Strikes that Redis was told of and has not answered: their number is not known yet, so nothing
 * that has such a tag is to be believed, whatever its clock. Times are monotonic µs.
 *
 * A strike is awaited from clocks_await until clocks_arrive, which comes after the clocks_bump of
 * its number and is given what clocks_await returned; or, if its process dies in between, for
 * CLOCKS_AWAIT_LEAST at least and twice that at most.
 */
#define CLOCKS_AWAIT_LEAST INT64_C(10000000)
uint32_t clocks_await(struct clocks *clocks, const uint64_t *hashes, size_t count, int64_t now);
void clocks_arrive(struct clocks *clocks, const uint64_t *hashes, size_t count, uint32_t awaited,
                   int64_t now);

/* Is a strike of one of these hashes, or of one that shares its place, awaited? */
bool clocks_awaits(const struct clocks *clocks, const uint64_t *hashes, size_t count, int64_t now);

/*
 * Did any strike arrive since then? Whoever asked Redis before must compare with clocks_of what
 * Redis called fresh: it may not have been told yet. To be asked after clocks_awaits.
 */
bool clocks_arrived(const struct clocks *clocks, int64_t since);

/* Is the memory shared with the host's other processes? */
bool clocks_shared(const struct clocks *clocks);

/* Was no tag of these hashes struck after `clock`, as far as this host knows? */
bool clocks_fresh(const struct clocks *clocks, const uint64_t *hashes, size_t count,
                  uint64_t clock);

#endif
