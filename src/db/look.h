/*
 * How larderd looks at the database: bounded round trips of statements without parameters, and the
 * transaction that a batch of the outbox is taken in. For db/outbox.c alone.
 */
#ifndef LARDER_DB_LOOK_H
#define LARDER_DB_LOOK_H

#include "base/bytes.h"
#include "db/round.h"

/* One round trip. `timeout` µs are for PostgreSQL. *ret_rows is the caller's. */
MUST_CHECK bool look_rows(struct db_connection *connection, const char *sql, int64_t timeout,
                          PGresult **ret_rows, struct db_failure *failure);

MUST_CHECK bool look_command(struct db_connection *connection, const char *sql, int64_t timeout,
                             struct db_failure *failure);

/* Appends what opens a transaction and asks. */
MUST_CHECK bool look_text(struct db_connection *connection, const char *query, int64_t timeout,
                          struct bytes *sql, struct db_failure *failure);

/* Opens a transaction and asks; on false there is none open. */
MUST_CHECK bool look_begin(struct db_connection *connection, const char *query, int64_t timeout,
                           PGresult **ret_rows, struct db_failure *failure);

/* A transaction that can't be ended is the end of the connection. */
void look_roll_back(struct db_connection *connection, int64_t timeout);

/* A server that is away takes the connection with it. */
void look_lost(struct db_connection *connection, const struct db_failure *failure);

/* Both, and tells `failure` (may be null) of it. Always returns false. */
MUST_CHECK bool look_failed(struct db_connection *connection, const struct db_failure *local,
                            int64_t timeout, struct db_failure *failure);

#endif
