/*
 * What takes PostgreSQL longer than a change of rows may wait for its bump:
 *
 * - what changed in the database without a trigger's knowing (views, functions, rights,
 *   switched-off triggers), asked for each second;
 * - the sweep of the outbox (work/sweep.h), whose piece may be a million dead rows of one
 *   transaction.
 *
 * It is asked for over a connection of its own, and comes while the loop does other work; only the
 * asking and the commit are waited for. One question at a time.
 */
#ifndef LARDER_WORK_ASIDE_H
#define LARDER_WORK_ASIDE_H

#include "base/counters.h"
#include "base/options.h"
#include "work/bumper.h"

struct aside;

/* The options, counters and bumper must outlive it. Null: memory. */
struct aside *aside_new(const struct options *options, struct counters *counters,
                        struct bumper *bumper) MUST_CHECK;

/* Null is allowed. */
void aside_free(struct aside *aside);

/*
 * Asks, or bumps what the answer names once it has come; returns when it is due again (monotonic
 * µs) unless the answer comes before. `idle`: one of the servers is away, so nothing is asked.
 * Transactions below `end` are swept; 0: none for now.
 */
int64_t aside_run(struct aside *aside, bool idle, uint64_t end, int64_t now);

/* Definitions that were other before this are bumped: monotonic µs; 0: not looked at yet. */
int64_t aside_looked(const struct aside *aside);

/* For poll(2): readable when the answer may have come; -1: none is awaited. */
int aside_fd(const struct aside *aside);

/* Takes what has come; true when aside_run is due at once. Never waits. */
bool aside_woken(struct aside *aside);

#endif
