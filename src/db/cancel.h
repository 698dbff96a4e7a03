/*
 * Telling a server to end the statement that a connection waits for. Not for other folders.
 *
 * The request goes over a connection of its own, which libpq can only wait for without a bound, so
 * a thread of its own makes it. Until that has ended the request may still be on its way, and would
 * strike whatever the connection runs next.
 */
#ifndef LARDER_DB_CANCEL_H
#define LARDER_DB_CANCEL_H

#include "db/round.h"

struct db_cancel;

/* Never waits. Null: it can't be asked for now; nothing is on its way. */
struct db_cancel *db_cancel_begin(struct db_connection *connection) MUST_CHECK;

/*
 * Waits until `deadline` (monotonic µs) for the request to have been made, and frees the handle;
 * null is allowed. False: it may still be on its way, and the connection must not be used again.
 */
MUST_CHECK bool db_cancel_end(struct db_cancel *cancel, int64_t deadline);

#endif
