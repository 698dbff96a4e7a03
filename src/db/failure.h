/*
 * What PostgreSQL says when it does not answer with rows, sorted into the few kinds that the
 * layers above tell apart. One table maps SQLSTATE to kind.
 */
#ifndef LARDER_DB_FAILURE_H
#define LARDER_DB_FAILURE_H

#include <stddef.h>

#include "base/error.h"

enum db_failure_kind {
    DB_FAILURE_NONE,
    DB_FAILURE_STATEMENT,   /* the statement is wrong, or anything not told apart below */
    DB_FAILURE_VALUE,       /* a parameter's value was refused (class 22) */
    DB_FAILURE_CONSTRAINT,  /* class 23 */
    DB_FAILURE_READ_ONLY,   /* a write in a read-only transaction */
    DB_FAILURE_FORBIDDEN,   /* the role may not */
    DB_FAILURE_TIMEOUT,     /* cancelled because its time was over */
    DB_FAILURE_UNAVAILABLE, /* no connection, lost, shutting down, too many clients */
    DB_FAILURE_BUSY,        /* no free connection within the wait limit */
    DB_FAILURE_STALE,       /* a prepared statement no longer fits; preparing anew mends it */
    DB_FAILURE_TOO_LARGE,   /* the result exceeds what PostgreSQL can put in one value */
    DB_FAILURE_RETRY,       /* serialisation failure or deadlock */
    DB_FAILURE_UNKNOWN,     /* lost while it committed: it may have, or not */
    DB_FAILURE_UNINSTALLED, /* it needs what `larder install --to` the role makes */
    DB_FAILURE_MEMORY,
};

/* An identifier of PostgreSQL's, terminated. */
#define DB_NAME_SIZE 64

#define DB_FAILURE_COLUMNS 8

/*
 * For the log and for `larder check`; the message is for a client only where `raised` is set. The
 * names are of what a constraint's violation is about, empty where PostgreSQL doesn't say.
 */
struct db_failure {
    enum db_failure_kind kind;
    char sqlstate[6]; /* empty: the failure is not PostgreSQL's */
    unsigned raised;  /* db_failure_raised_status, where one of the route's statements did */
    size_t position;  /* 1-based character in the SQL as sent; 0: none */
    size_t statement; /* of a write: which one of its statements, from 0 */
    char message[ERROR_TEXT_MAX];
    char detail[ERROR_TEXT_MAX], hint[ERROR_TEXT_MAX]; /* of what was raised; else empty */
    char schema[DB_NAME_SIZE], table[DB_NAME_SIZE], constraint[DB_NAME_SIZE];
    char column[DB_NAME_SIZE]; /* of NOT NULL */
    /* Of a write: the constraint's columns, the first ones. Of a foreign key the referring ones. */
    char columns[DB_FAILURE_COLUMNS][DB_NAME_SIZE];
    size_t column_count;
    /* Of a foreign key: the columns whose value broke it, as PostgreSQL lists them, and whether it
     * names the referring table for where that value still stands. */
    char key[DB_NAME_SIZE * DB_FAILURE_COLUMNS];
    bool key_within;
    bool refers_to_itself; /* the foreign key's table */
};

/* The kind behind five characters of SQLSTATE (PostgreSQL's manual, appendix A). */
enum db_failure_kind db_failure_of_sqlstate(const char *sqlstate);

/*
 * The status that a RAISE of the application's own asks for: 400 for one without an ERRCODE
 * (P0001), n for PTn of 400 to 599, as PostgREST has it; 0: it is no such RAISE.
 */
unsigned db_failure_raised_status(const char *sqlstate);

/*
 * Is it the server that is in trouble, and not the statement? A full disk, no memory, too many
 * connections, its end or its start: the same statement may go well later, however often it is
 * tried. By SQLSTATE alone; what PostgreSQL did not say itself is none.
 */
bool db_failure_is_servers(const struct db_failure *failure);

/*
 * Did PostgreSQL answer that it won't? Then that is a fact about the statement or the role. What
 * it did not answer, or may answer otherwise when asked again, is none: a lock that was not had in
 * time, a deadlock, too many connections.
 */
bool db_failure_is_refusal(const struct db_failure *failure);

/* A lock was not had within lock_timeout. */
bool db_failure_is_lock(const struct db_failure *failure);

/* Fills *failure; always returns false. Null is allowed. */
bool db_failure_set(struct db_failure *failure, enum db_failure_kind kind, const char *format, ...)
    PRINTF_LIKE(3, 4);

#endif
