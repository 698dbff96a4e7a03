/*
 * The Lua scripts by which the store speaks with Redis: each is one atomic look or change.
 *
 * Keys and formats they share (see src/README.md, "Clock and tags"): an entry's field "k" is
 * "<clock> <created> <expires> <stale until>\n<tag>\n<tag>…", times in µs; a tag's value and the
 * clock hash's fields are decimal numbers below 2^53, which Lua holds exactly.
 */
#ifndef LARDER_CACHE_SCRIPTS_H
#define LARDER_CACHE_SCRIPTS_H

/*
 * Look-up, freshness, lease and clock in one.
 *   KEYS  entry, lease, clock, heartbeat, journal
 *   ARGV  tags' prefix, owner, lease in ms ("0": no lease is wanted), wall clock µs, guard µs,
 *         the wanted variant's field ("": metadata alone), "1" where the last entry is wanted
 *         although it is not fresh, "1" to take the lease of a fresh entry too (early refresh)
 *   reply {flags, clock, m, wanted variant, sole variant, why writes are refused, the number of the
 *         last strike of definitions}; what stands behind the variants is told with a lease alone
 * Flags: F fresh, A aged but within its stale window, O past that, S struck or
 * not believed, N none, X no entry of this format; then L
 * where the lease is the caller's, U where Redis takes no writes; then B where a heartbeat is.
 */
extern const char script_lookup[];

/*
 * Keeps an entry unless one of its tags was struck since its clock, and ends the caller's lease.
 *   KEYS  entry, lease, clock, journal
 *   ARGV  tags' prefix, owner, clock, "k", lifetime in ms, tags' lifetime in ms, then field, value…
 *   reply 1 kept, 0 struck, or not provably unstruck
 */
extern const char script_keep[];

/*
 * Ends the caller's lease where a fill failed.
 *   KEYS  lease
 *   ARGV  owner
 */
extern const char script_release[];

/*
 * Ends a lease that a look-up may have taken or, if it has not, keeps it from taking it when Redis
 * comes to it: "<lease>:<owner>" stands for that long.
 *   KEYS  lease
 *   ARGV  owner, ms
 */
extern const char script_bar[];

#endif
