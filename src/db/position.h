/*
 * How far the outbox was read: what a poll need not look at again.
 *
 * Rows carry the number (xid) of the transaction that wrote them. A poll with the snapshot
 * `xmin:xmax:running,…` sees all that is committed below xmax but what was running; so the next one
 * looks at numbers from xmax on, and at those that were still running then or whose rows a peer had
 * locked. However many dead rows a long transaction keeps in the table, they are below and not
 * touched. Pure.
 *
 * Numbers are PostgreSQL's 64-bit ones (xid8), which never wrap.
 */
#ifndef LARDER_DB_POSITION_H
#define LARDER_DB_POSITION_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"

/* All zeros: the start; everything is to be looked at. */
struct position {
    uint64_t next;        /* rows from this number on are new */
    struct bytes pending; /* and those of these: "12,15"; empty: none */
};

/* The pending list grows no longer than this many bytes: then everything is looked at again. */
#define POSITION_PENDING_MAX ((size_t)32 * 1024)

void position_free(struct position *position);

/* Back to the start. */
void position_reset(struct position *position);

/*
 * After a poll that found all there was: `snapshot` as pg_current_snapshot() writes it, `skipped`
 * the numbers whose rows were locked. What can't be read resets the position.
 */
void position_advance(struct position *position, struct span snapshot, struct span skipped);

/* The snapshot's xmax: no transaction from it on had begun to write. 0: not to be read. */
uint64_t position_end(struct span snapshot);

/* The snapshot's xmin: every transaction below has ended. 0: not to be read. */
uint64_t position_oldest_running(struct span snapshot);

#endif
