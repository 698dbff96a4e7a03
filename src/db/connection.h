/*
 * One connection to PostgreSQL, used by one thread at a time.
 *
 * Every call ends by its deadline, whatever the server does: the socket is never blocked on, and a
 * server that answers nothing costs the connection (closed, state DEAD), not the thread. The server
 * itself cancels a statement whose time is over (statement_timeout), so nothing is left running.
 * Reads run in read-only transactions that are rolled back, so that nothing of them stays; writes
 * have db/write.h.
 */
#ifndef LARDER_DB_CONNECTION_H
#define LARDER_DB_CONNECTION_H

#include <stdint.h>

#include "base/options.h"
#include "base/span.h"
#include "db/failure.h"

struct db_connection;
struct db_identity; /* db/write.h */
struct db_result;

/*
 * How long learning waits for a lock at once. PostgreSQL looks for a deadlock after a second
 * (deadlock_timeout), and its victim is whoever looks first: somebody's ALTER TABLE or TRUNCATE,
 * which holds one table and wants another, as often as we, who can always ask again.
 */
#define DB_LOCK_PATIENCE "200ms"
#define DB_LOCK_GLANCE "20ms" /* … when it is over */

/* Until when learning waits for locks over a connection, however many routes are asked about. */
struct db_patience {
    int64_t deadline;            /* monotonic µs */
    bool (*ends)(void *context); /* null, or: is it to end before? */
    void *context;
};

/* What is locked behind that is waited for once, for DB_LOCK_GLANCE. */
void db_patience_set(struct db_connection *connection, const struct db_patience *patience);

/* May a lock that was not had be asked for again? Not behind `deadline` in any case. */
bool db_patience_lasts(const struct db_connection *connection, int64_t deadline);

/* For how long the next lock is waited for at once, as PostgreSQL's lock_timeout. */
const char *db_lock_timeout(const struct db_connection *connection);

/* How long after a statement's own time-out the server's word on it is awaited. */
#define DB_GRACE (500 * INT64_C(1000))

struct db_settings {
    bool transaction_pooling;  /* behind PgBouncer: nothing is kept in a connection */
    int64_t statement_timeout; /* µs, the session's default */
};

/*
 * As LARDER_DB_POOLING says, µs for a statement: behind PgBouncer a time-out and prepared
 * statements left in the session would be another client's.
 */
struct db_settings db_settings_of(const struct options *options, int64_t statement_timeout);

/*
 * Connects as libpq's environment says, until `deadline` (monotonic µs). The settings are not
 * copied. DB_FAILURE_UNAVAILABLE otherwise.
 */
MUST_CHECK bool db_connect(const struct db_settings *settings, int64_t deadline,
                           struct db_connection **ret_connection, struct db_failure *failure);

/* Null is allowed. Never waits. */
void db_disconnect(struct db_connection *connection);

/* False when the connection is of no more use: after a lost server, or a statement given up. */
bool db_usable(const struct db_connection *connection);

/* Looks, without waiting, whether the server closed the connection while it lay idle. */
bool db_idle_alive(struct db_connection *connection);

/*
 * Is the session one of a hot standby? What it reads may be older than what was heard of by then.
 * A standby that is promoted ends that with the next statement's answer (PostgreSQL 14 and later).
 */
bool db_standby(const struct db_connection *connection);

/* A statement with its parameters; values are texts, null for NULL. */
struct db_statement {
    uint64_t id;     /* the same id has the same SQL and types; names the prepared statement */
    const char *sql; /* terminated */
    const uint32_t *types; /* OIDs, 0: PostgreSQL decides; null: all 0 */
    const char *const *values;
    int parameter_count;
    int64_t timeout;                    /* µs */
    const struct db_identity *identity; /* as whom it runs; null: the session's own role */
    bool plain; /* it leaves nothing in the session, and nothing that it sets off does */
};

/*
 * Runs the statement in a read-only transaction of its own, prepared at its first use on this
 * connection and again by itself when the schema changed under it. The result is the caller's.
 * DB_FAILURE_FORBIDDEN, among others: the session may not take the identity's role, or there is
 * none of that name.
 */
MUST_CHECK bool db_run(struct db_connection *connection, const struct db_statement *statement,
                       struct db_result **ret_result, struct db_failure *failure);

/* Runs SQL without preparing it, values as texts; rows are the caller's. For what is asked rarely.
 */
MUST_CHECK bool db_execute(struct db_connection *connection, const char *sql,
                           const char *const *values, int value_count, int64_t timeout,
                           struct db_result **ret_result, struct db_failure *failure);

/*
 * The same for what is asked of each of many routes, in transactions that make temporary views: a
 * session of our own prepares it once. The text is the program's own and stays where it is.
 */
MUST_CHECK bool db_ask(struct db_connection *connection, const char *sql, const char *const *values,
                       int value_count, int64_t timeout, struct db_result **ret_result,
                       struct db_failure *failure);

/*
 * Before many transactions with db_ask. Where the database has no temporary schema of this session
 * yet, each would make one and take it back, after which everything prepared is planned anew.
 */
void db_ask_ready(struct db_connection *connection, int64_t timeout);

/* Runs statements without parameters, one after the other, whose rows nobody needs. */
MUST_CHECK bool db_script(struct db_connection *connection, const char *sql, int64_t timeout,
                          struct db_failure *failure);

/*
 * Before what reads tables of Larder's in the same script: where the role's transactions are
 * serializable, that would leave traces for which PostgreSQL fails others, who write there.
 */
#define DB_READ_COMMITTED "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; "

/*
 * What PostgreSQL says of a statement without running it. Within `timeout` (µs) a lock is waited
 * for in pieces (db_lock_timeout), between which nothing is held; the connection outlives that.
 */
struct db_description {
    int parameter_count;
    uint32_t *parameter_types; /* malloc'd with column names; freed by db_description_free */
    int column_count;
    char **column_names;
    uint32_t *column_types;  /* of a domain: the type below it */
    uint32_t *column_tables; /* OID of the relation that it comes from unchanged; 0: from none … */
    int *column_numbers;     /* … and its number there */
};

MUST_CHECK bool db_describe(struct db_connection *connection, const char *sql,
                            const uint32_t *types, int type_count, int64_t timeout,
                            struct db_description *ret_description, struct db_failure *failure);

void db_description_free(struct db_description *description);

/* Forgets every prepared statement; after a reload, so that old routes' don't pile up. */
void db_forget_prepared(struct db_connection *connection);

/* Null is allowed. */
void db_result_free(struct db_result *result);
int db_result_rows(const struct db_result *result);
int db_result_columns(const struct db_result *result);

/* Null data for NULL; the bytes live as long as the result. */
struct span db_result_value(const struct db_result *result, int row, int column);

#endif
