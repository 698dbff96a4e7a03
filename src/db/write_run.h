/*
 * One attempt at a write, on one connection. Not for other folders.
 *
 * Everything goes in one pipeline, the COMMIT included, so that a write is one round trip.
 */
#ifndef LARDER_DB_WRITE_RUN_H
#define LARDER_DB_WRITE_RUN_H

#include "db/round.h"
#include "db/write.h"

/*
 * Runs the write within `timeout` µs. On false nothing was committed, except after
 * DB_FAILURE_UNKNOWN, and the connection is out of the transaction, or dead.
 */
MUST_CHECK bool db_write_run(struct db_connection *connection, const struct db_write *write,
                             int64_t timeout, struct db_written *ret_written,
                             struct db_failure *failure);

#endif
