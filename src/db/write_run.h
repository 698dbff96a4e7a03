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
    int64_t timeout; /* µs */
    bool tags;       /* ask for what the triggers struck: `larder install` was run */
};

/*
 * Runs the write. On false nothing was committed, except after DB_FAILURE_UNKNOWN, and the
 * connection is out of the transaction, or dead. *ret_tagless: it failed only since the tags could
 * not be asked for.
 */
MUST_CHECK bool db_write_run(struct db_connection *connection, const struct db_write *write,
                             const struct write_terms *terms, struct db_written *ret_written,
                             bool *ret_tagless, struct db_failure *failure);

#endif
