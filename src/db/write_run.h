/*
 * One attempt at a write, on one connection. Not for other folders.
 *
 * Everything goes in one pipeline, the COMMIT included, so that a write is one round trip.
 */
#ifndef LARDER_DB_WRITE_RUN_H
#define LARDER_DB_WRITE_RUN_H

#include "db/attempt.h"

/* What an attempt is to do beside the write. */
struct write_terms {
    int64_t timeout;   /* µs */
    bool tags;         /* ask for what the triggers struck: `larder install` was run */
    const char *leave; /* the array of tags to write to the outbox; null: none */
};

/*
 * Runs the write. On false nothing was committed, except after DB_FAILURE_UNKNOWN, and the
 * connection is out of the transaction, or dead; *ret_again is set then.
 */
MUST_CHECK bool db_write_run(struct db_connection *connection, const struct db_write *write,
                             const struct write_terms *terms, struct db_written *ret_written,
                             enum write_again *ret_again, struct db_failure *failure);

#endif
