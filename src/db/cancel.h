/*
 * Telling a server to end the statement that a connection waits for. Not for other folders.
 */
#ifndef LARDER_DB_CANCEL_H
#define LARDER_DB_CANCEL_H

#include "db/round.h"

/*
 * Sends the request from a thread of its own, since it needs another connection, which libpq can
 * only wait for without a bound. Best effort: where the server can't be reached nothing happens.
 * Never waits.
 */
void db_cancel(struct db_connection *connection);

#endif
