/*
 * Cancelling, from one thread, what another thread has PostgreSQL run.
 *
 * What is fired when nothing runs has no effect; so whoever wants an end fires until it has come.
 */
#ifndef LARDER_DB_STOP_H
#define LARDER_DB_STOP_H

#include "base/compiler.h"

struct db_stop;
struct db_connection;

/* Null: memory. */
struct db_stop *db_stop_new(void) MUST_CHECK;

/* Only when nothing runs under it. Null is allowed. */
void db_stop_free(struct db_stop *stop);

/*
 * Asks the server to end the statement that runs now under the handle. Opens a connection of its
 * own for that, so it may wait as long as the system lets connecting wait.
 */
void db_stop_fire(struct db_stop *stop);

/* For db/: what runs on the connection may be cancelled, until the end is told. Null is allowed. */
void db_stop_begin(struct db_stop *stop, struct db_connection *connection);
void db_stop_end(struct db_stop *stop);

#endif
