/*
 * A statement whose rows come one after another, however many they are: a download.
 *
 * The rows are texts that PostgreSQL makes (COPY), one a message, so that neither side ever holds
 * more than a few of them. COPY takes no parameters: their values are bound into settings of the
 * transaction (larder.p1, …), which the statement reads in their places (db/stream_shape.h).
 *
 * PostgreSQL sends what it has when it has 8 kB of it, or the whole.
 *
 * Invariant: whatever becomes of a stream, its statement runs no longer than until it is closed.
 */
#ifndef LARDER_DB_STREAM_H
#define LARDER_DB_STREAM_H

#include "db/pool.h"

struct db_stream;

struct db_stream_statement {
    const char *settings; /* binds the values; null: there are none */
    const char *copy;
    const char *const *values; /* null for NULL */
    int value_count;
    int64_t begin_timeout;              /* µs to wait for the transaction */
    int64_t timeout;                    /* µs for the statement, as the server counts */
    const struct db_identity *identity; /* null: the session's own role */
    bool plain;                         /* as a db_statement's */
    struct db_guest guest;
};

/*
 * Begins a read-only transaction on a connection of the pool and asks for the rows, not waiting for
 * any. Failures as db_pool_read's.
 */
MUST_CHECK bool db_stream_open(struct db_pool *pool, const struct db_stream_statement *statement,
                               struct db_stream **ret_stream, struct db_failure *failure);

enum db_stream_event {
    DB_STREAM_ROW,    /* *ret_row is the next one, with the newline it ends in */
    DB_STREAM_PAUSE,  /* none came in time */
    DB_STREAM_LEFT,   /* whoever is at the other end of `peer` has gone */
    DB_STREAM_END,    /* all rows were taken */
    DB_STREAM_FAILED, /* *failure says how */
};

/*
 * The next row, waited for so long at most (µs), or until the peer hangs up its socket (-1: nobody
 * is watched). A row that has come is given before anything else. The bytes live until the next
 * call.
 */
enum db_stream_event db_stream_next(struct db_stream *stream, int peer, int64_t wait,
                                    struct span *ret_row, struct db_failure *failure);

/*
 * Ends the transaction, and the statement if it still runs; gives the connection back. Waits half a
 * second at most. Null is allowed.
 */
void db_stream_close(struct db_stream *stream);

#endif
