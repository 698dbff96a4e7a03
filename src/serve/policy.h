/*
 * When an answer may be kept, served and made anew: the rules, without the doing.
 */
#ifndef LARDER_SERVE_POLICY_H
#define LARDER_SERVE_POLICY_H

#include "cache/kept.h"
#include "serve/exchange.h"

/* Is the route's answer kept at all? */
bool policy_caches(const struct exchange *exchange);

/* … in this process' memory too? */
bool policy_uses_memory(const struct exchange *exchange);

/* Is the answer at hand (FILLED) to be kept somewhere, so that its variants pay off? */
bool policy_keeps(const struct exchange *exchange);

/* … in Redis, under the lease the exchange holds? */
bool policy_stores(const struct exchange *exchange);

/*
 * May the kept answer be served now? Fresh by its ttl, by every tag this host knows to be struck,
 * and, while strikes can't be heard of, younger than LARDER_GUARD_TTL.
 */
bool policy_fresh(const struct exchange *exchange, const struct kept *kept);

/*
 * Does this host alone know that the entry found was struck? A write here has told Redis just now,
 * perhaps after it looked the entry up; or could not tell it, and larderd may not have done so yet.
 */
bool policy_struck_alone(const struct exchange *exchange);

/* Would this process have heard of what was struck since `clock`? */
bool policy_hears(const struct exchange *exchange, uint64_t clock);

/*
 * Will a change of what the answer at hand was made of be heard of? Its tables have triggers, what
 * it reads is known as of the last change of definitions, and no standby gave it, which may get to
 * know of a change after its strike.
 */
bool policy_changes_heard(const struct exchange *exchange);

/*
 * May the answer of one exchange go to a request that came when its look-up or query was under way
 * already? When that began after the request all the same; or when nothing it depends on was struck
 * meanwhile and a strike would have been heard of, or the answer is younger than the guard.
 */
bool policy_timely(const struct exchange *exchange, const struct kept *kept,
                   const struct exchange *parked);

/* How long (µs) an answer made now is fresh: its ttl, or less where no change would be heard of. */
int64_t policy_ttl(const struct exchange *exchange, int64_t ttl);

/*
 * Should the fresh answer at hand be made anew ahead of its expiry? By chance, the likelier the
 * nearer the expiry and the dearer the fill, so that one of many readers does it (XFetch: Vattani,
 * Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015).
 */
bool policy_refresh_early(const struct exchange *exchange);

/* Sets when a waiting exchange looks again: soon at first, then more seldom. */
void policy_wait_longer(struct exchange *exchange, int64_t now);

/*
 * May an entry that may not be served any more answer while the database is away? Within error= of
 * its expiry, or, if it was struck, of its creation.
 */
bool policy_serves_on_error(const struct exchange *exchange, const struct entry_meta *meta,
                            bool struck);

#endif
