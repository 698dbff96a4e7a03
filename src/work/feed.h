/*
 * The feed: from the outbox in PostgreSQL to bumps in Redis, and the heartbeat that says so.
 *
 * A row is deleted only after its tag was bumped, so a crash anywhere only bumps it twice. The
 * heartbeat is a promise that no change older than half the guard TTL waits: it is given only when
 * a poll within that time found nothing left, neither beyond its limit nor with a peer, and while
 * definitions are looked at.
 */
#ifndef LARDER_WORK_FEED_H
#define LARDER_WORK_FEED_H

#include "base/counters.h"
#include "base/options.h"
#include "work/bumper.h"

struct feed;

/* The options, counters and bumper must outlive the feed. Null: memory. */
struct feed *feed_new(const struct options *options, struct counters *counters,
                      struct bumper *bumper) MUST_CHECK;

/* Null is allowed. */
void feed_free(struct feed *feed);

/* One poll, or one attempt to get back what is away; returns when the next is due (monotonic µs).
 */
int64_t feed_poll(struct feed *feed, int64_t now);

/* Strikes what responders wrote and did not strike themselves; gives when to look again. */
int64_t feed_left(struct feed *feed, int64_t now);

/*
 * Polls look at no transaction below this one but at those that they left something of; 0: not
 * known, or there is a backlog, of which a poll takes more at a time than a sweep would.
 */
uint64_t feed_behind(const struct feed *feed);

/* Forgets answers kept for longer than LARDER_IDEMPOTENCY_TTL; gives when to do so again. */
int64_t feed_forget(struct feed *feed, int64_t now);

/* Definitions that were other before `time` are bumped: monotonic µs; 0: they are not looked at. */
void feed_looked(struct feed *feed, int64_t time);

/* Is a server away, or the schema not there? feed_poll sees to that. */
bool feed_idle(const struct feed *feed);

/* For poll(2): readable when a notification may have come; -1: none can. */
int feed_fd(const struct feed *feed);

/* Looks for notifications; true when feed_poll is due at once, for a heartbeat that waited too. */
bool feed_woken(struct feed *feed);

/* Before the end: writers shall notify the other larderds, which are woken once. */
void feed_leave(struct feed *feed);

/* For people: what it is doing. */
const char *feed_status(const struct feed *feed);

#endif
