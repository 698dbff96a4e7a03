/*
 * What the parts of db/ that speak with libpq share: the connection's state, and one bounded round
 * trip. Not for other folders, which know connection.h alone.
 *
 * Invariant: outside of these functions a connection that is not dead has nothing under way: every
 * result of what was sent has been taken.
 */
#ifndef LARDER_DB_ROUND_H
#define LARDER_DB_ROUND_H

#include <stdint.h>

#include <libpq-fe.h>

#include "db/connection.h"

/*
 * A connection remembers half as many statements; beyond them it forgets all, so that more than it
 * remembers in turn are mostly prepared again. Of PostgreSQL's memory each takes some 45 kB.
 */
#define PREPARED_MAX 4096

/* How many statements of Larder's own db_ask prepares on a connection. */
#define ASKED_MAX 16

struct db_connection {
    PGconn *handle;
    const struct db_settings *settings;
    bool dead;                       /* lost, given up, or worn out */
    bool forget;                     /* DEALLOCATE ALL before the next statement */
    int64_t session_timeout;         /* µs: the session's statement_timeout as it is now */
    struct db_patience patience;     /* its deadline 0: none */
    uint64_t prepared[PREPARED_MAX]; /* open addressing by id; 0: free */
    unsigned prepared_count;
    const char *asked[ASKED_MAX]; /* what db_ask has prepared, by its number; null: free */
    bool asks;                    /* it has made the session ready for that */
    bool standby;                 /* it was one when the session began */
    bool recovering;   /* the server is a standby, which may not tell by itself: see db_standby */
    bool touched;      /* a statement may have left something in the session */
    bool drawn;        /* … may have drawn from sequences, whose numbers the session remembers */
    unsigned epoch;    /* of the pool's, when the session was opened */
    bool writer;       /* larder.struck is the session's: triggers leave its tags to it */
    unsigned answered; /* results of db_round_trip's last round before its first failure */
    unsigned heeded; /* db_round_trip hands out one of its next round's first so many; 0: of all */
    /* db_outbox_take's own statements, without the ring and with it, and its settings; such a
     * connection runs no routes. */
    bool ways_set;
    unsigned takes[3]; /* of the outbox, of both, of the ring: the last's OID and one; 0: not yet */
    unsigned ring;     /* the OID of larder_ring.take as last seen; 0: there is none */
    bool ring_sought;
};

/* For statement_timeout, where 0 would mean none. */
static inline int64_t db_milliseconds(int64_t microseconds)
{
    return microseconds < 1000 ? 1 : microseconds / 1000;
}

/*
 * Prepares what every transaction of a session needs and sets its statement_timeout (µs), after
 * connecting and after everything prepared was forgotten.
 */
MUST_CHECK bool db_session_begin(struct db_connection *connection, int64_t timeout,
                                 int64_t deadline, struct db_failure *failure);

/* Makes the session forget everything prepared, now, and begins it anew. */
MUST_CHECK bool db_forget_now(struct db_connection *connection, int64_t deadline,
                              struct db_failure *failure);

/* Leaves the pipeline and takes the connection out of a failed transaction; it may end dead. */
void db_pipeline_end(struct db_connection *connection, int64_t deadline);

/* Waits for the socket; false when the deadline passed or poll failed. */
bool db_socket_wait(PGconn *handle, short events, int64_t deadline);

/* Marks the connection dead and says what libpq says. Always returns false. */
bool db_lost(struct db_connection *connection, struct db_failure *failure);

/* What a result that is an error says. */
void db_failure_of_result(const PGresult *result, struct db_failure *failure);

/*
 * Sends what libpq holds, takes all results until the deadline (monotonic µs), and hands out the
 * one with rows, or else the last without (PQclear is the caller's; may be null).
 */
MUST_CHECK bool db_round_trip(struct db_connection *connection, int64_t deadline,
                              PGresult **ret_rows, struct db_failure *failure);

/* What the commands of a pipeline were answered, in their order. */
struct db_replies {
    PGresult **results; /* room for one a command; those of the first `done` are set */
    size_t count;       /* of the commands sent */
    size_t done;        /* answered well, from the first on */
    bool refused;       /* the server refused the next one, and with it all that follow */
    bool fatal;         /* … and ended the session with it */
    /* Called after each that was answered well; null: nobody. */
    void (*taken)(void *context);
    void *context;
};

/*
 * Sends a pipeline that ends in a sync and takes the reply of each of its commands, rows or not.
 * The results are the caller's (PQclear), also after false, when refused or lost: what `done` and
 * `refused` say of the server's way is true then too.
 */
MUST_CHECK bool db_round_collect(struct db_connection *connection, int64_t deadline,
                                 struct db_replies *replies, struct db_failure *failure);

/*
 * libpq never makes a connection's buffer smaller: one that has taken a large answer is closed
 * after it, so that the memory comes back.
 */
void db_wear(struct db_connection *connection, const PGresult *rows);

#endif
