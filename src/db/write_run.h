/*
 * One attempt at a write, on one connection. Not for other folders.
 *
 * Everything goes in one pipeline, the COMMIT included, so that a write is one round trip.
 */
#ifndef LARDER_DB_WRITE_RUN_H
#define LARDER_DB_WRITE_RUN_H

#include "db/round.h"
#include "db/write.h"

/* What an attempt is to do beside the write. */
struct write_terms {
    int64_t timeout;   /* µs */
    bool tags;         /* ask for what the triggers struck: `larder install` was run */
    const char *leave; /* the array of tags to write to the outbox; null: none */
};

/* Why a failed attempt may be followed by another. */
enum write_again {
    WRITE_AGAIN_NOT,
    WRITE_AGAIN_FRESH,   /* the connection was lost before anything could be committed */
    WRITE_AGAIN_ANEW,    /* a prepared statement was outdated */
    WRITE_AGAIN_TAGLESS, /* the tags can't be asked for */
    WRITE_AGAIN_LATER,   /* another transaction was in the way */
    WRITE_AGAIN_LOOK,    /* it may have been done before, which an old snapshot hid */
    WRITE_AGAIN_COUNT,
};

/*
 * Runs the write. On false nothing was committed, except after DB_FAILURE_UNKNOWN, and the
 * connection is out of the transaction, or dead; *ret_again is set then.
 */
MUST_CHECK bool db_write_run(struct db_connection *connection, const struct db_write *write,
                             const struct write_terms *terms, struct db_written *ret_written,
                             enum write_again *ret_again, struct db_failure *failure);

#endif
