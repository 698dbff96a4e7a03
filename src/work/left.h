/*
 * What responders left in the outbox: the tags of their writes, which they strike themselves unless
 * they died or Redis was away.
 *
 * The snapshot of one look tells the next one which transactions have been over for that long; so
 * rows are taken one to two intervals after their commit, and where no transaction has come there
 * is nothing to ask. The first look after connecting takes all there is.
 */
#ifndef LARDER_WORK_LEFT_H
#define LARDER_WORK_LEFT_H

#include "db/outbox.h"

struct left_look {
    struct bytes snapshot;
    int64_t taken; /* monotonic µs; 0: there was none */
};

/* All zeros: nothing was looked at. */
struct left {
    struct position position;
    struct left_look before, now;
    int64_t drained; /* what was committed before is bumped, monotonic µs; 0: unknown */
};

void left_free(struct left *left);

/* After connecting: everything is to be looked at. */
void left_reset(struct left *left);

/*
 * Looks, and opens a batch as db_outbox_take does. Where there is nothing to take *ret_batch is all
 * zeros, no transaction is open and the look is over.
 */
MUST_CHECK bool left_take(struct left *left, struct db_connection *connection, int limit,
                          int64_t timeout, struct db_outbox_batch *ret_batch,
                          struct db_failure *failure);

/* After db_outbox_done with left->position; `batch` is as it was before. Ends the look. */
void left_done(struct left *left, const struct db_outbox_batch *batch);

#endif
