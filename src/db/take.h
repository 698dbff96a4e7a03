/*
 * The statement that takes from the outbox, and from the ring: for db/outbox.c alone.
 *
 * The first row tells of the poll and has the ring's tags, the others are the outbox' tags. Numbers
 * from the snapshot's end on are not looked at, nor pending ones that still run: their rows can't
 * be seen. A number whose rows were not all taken has some that a peer holds; that is only asked
 * when the limit was not reached.
 */
#ifndef LARDER_DB_TAKE_H
#define LARDER_DB_TAKE_H

#include "base/span.h"
#include "db/look.h"
#include "db/position.h"

#define TAKE_SHARED_LANES "'{0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15}'::pg_catalog.int2[]"
#define TAKE_OWN_LANES "'{16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31}'::pg_catalog.int2[]"

struct take {
    const struct position *position; /* null: from `from` to below `until` */
    uint64_t from, until;
    const char *lanes;
    struct span snapshot; /* empty: of now */
    unsigned ring;        /* the OID of larder_ring.take; 0: of the outbox alone */
    bool ring_alone;      /* of that alone */
    int limit;
    int64_t timeout; /* µs */
};

/* The columns of the first row. */
enum {
    TAKE_SNAPSHOT,
    TAKE_TAKEN,
    TAKE_WHOLE, /* the limit was not reached */
    TAKE_SKIPPED,
    TAKE_MARKED,
    TAKE_ASLEEP,
    TAKE_THERE,      /* a schema of the module's name */
    TAKE_RING_TAKEN, /* how many tags of the ring; null: it is not there as it was */
    TAKE_RING,       /* of the ring's state the letters of what is true: see take.c */
    TAKE_RING_TAGS,  /* the ring's tags, a line each; null: none */
};

/* Of a poll that took nothing. */
#define TAKE_NOTHING "SELECT NULL::text, '0', 'true', NULL, 'true', NULL, NULL, NULL, NULL, NULL"
#define TAKE_NULLS "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL"

/* Appends it. A session of our own prepares it. */
MUST_CHECK bool take_text(struct db_connection *connection, const struct take *take,
                          struct bytes *out, struct db_failure *failure);

/* Within the transaction of a look: the module's larder_ring.take, by its OID; 0: there is none. */
MUST_CHECK bool take_find_ring(struct db_connection *connection, int64_t timeout,
                               unsigned *ret_ring, struct db_failure *failure);

#endif
