/*
 * Cancelling, from one thread, what another thread has PostgreSQL run.
 *
 * What is fired when nothing runs has no effect; so whoever wants an end fires until it has come.
 */
#ifndef LARDER_DB_CANCEL_H
#define LARDER_DB_CANCEL_H

#include "base/compiler.h"

struct db_cancel;
struct db_connection;

/* Null: memory. */
struct db_cancel *db_cancel_new(void) MUST_CHECK;

/* Only when nothing runs under it. Null is allowed. */
void db_cancel_free(struct db_cancel *cancel);

/*
 * Asks the server to end the statement that runs now under the handle. Opens a connection of its
 * own for that, so it may wait as long as the system lets connecting wait.
 */
void db_cancel_fire(struct db_cancel *cancel);

/* For db/: what runs on the connection may be cancelled, until the end is told. Null is allowed. */
void db_cancel_begin(struct db_cancel *cancel, struct db_connection *connection);
void db_cancel_end(struct db_cancel *cancel);

#endif
