/*
 * What changed in the database without a trigger's knowing (views, functions, rights, switched-off
 * triggers), asked for each second.
 *
 * The answer takes PostgreSQL longer than a change of rows may wait for its bump. So it is asked
 * for over a connection of its own, and comes while the loop does other work; only the asking and
 * the commit are waited for. One question at a time.
 */
#ifndef LARDER_WORK_DEFINITIONS_H
#define LARDER_WORK_DEFINITIONS_H

#include "base/options.h"
#include "work/bumper.h"

struct definitions;

/* The options and the bumper must outlive it. Null: memory. */
struct definitions *definitions_new(const struct options *options,
                                    struct bumper *bumper) MUST_CHECK;

/* Null is allowed. */
void definitions_free(struct definitions *definitions);

/*
 * Asks, or bumps what the answer names once it has come; returns when it is due again (monotonic
 * µs) unless the answer comes before. `idle`: one of the servers is away, so nothing is asked.
 */
int64_t definitions_run(struct definitions *definitions, bool idle, int64_t now);

/* What was other before this is bumped: monotonic µs; 0: nothing was looked at yet. */
int64_t definitions_looked(const struct definitions *definitions);

/* For poll(2): readable when the answer may have come; -1: none is awaited. */
int definitions_fd(const struct definitions *definitions);

/* Takes what has come; true when definitions_run is due at once. Never waits. */
bool definitions_woken(struct definitions *definitions);

#endif
