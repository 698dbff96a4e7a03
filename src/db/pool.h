/*
 * The connections of one process: at most so many, shared by all its threads.
 *
 * A thread takes a connection for one statement and gives it back. When all are in use it waits in
 * a queue, served in order, at most so long and behind at most so many others; past either bound
 * the answer is DB_FAILURE_BUSY. Connections are opened when first needed and replaced when they
 * break.
 */
#ifndef LARDER_DB_POOL_H
#define LARDER_DB_POOL_H

#include "base/counters.h"
#include "base/options.h"
#include "db/connection.h"

struct db_pool;

/* Whoever waits for a connection. */
struct db_guest {
    int peer; /* the socket that his leaving closes; PEER_NOBODY (base/peer.h) */
    /*
     * Asked when the pool has a place for him, before a session is opened in it, and before a
     * stream's rows are asked for: may wait for his turn the first time, which is no part of
     * LARDER_DB_WAIT. False: he has left. Null: not asked.
     */
    bool (*turn)(void *context);
    void *context;
};

struct db_pool_settings {
    size_t connections; /* at most */
    size_t queue;       /* threads waiting at most */
    int64_t wait;       /* µs for a connection, opening one included */
    struct db_settings connection;
};

/* As the options LARDER_DB_… and LARDER_TIMEOUT say. */
struct db_pool_settings db_pool_settings_of(const struct options *options);

/* The counters must outlive the pool. Null: memory. */
struct db_pool *db_pool_new(const struct db_pool_settings *settings,
                            struct counters *counters) MUST_CHECK;

/* Only when no connection is taken. Null is allowed. */
void db_pool_free(struct db_pool *pool);

/*
 * Runs a read on a connection of the pool; when the connection turns out to be lost, once more
 * on a fresh one (a read can be run twice), for what is left of the statement's time. *ret_standby,
 * which is written in any case: it was asked of a standby.
 */
MUST_CHECK bool db_pool_read(struct db_pool *pool, const struct db_statement *statement,
                             struct db_result **ret_result, bool *ret_standby,
                             struct db_failure *failure);

/*
 * Where the connection opened last is a standby's, looks whether the primary can be reached, until
 * `deadline` (monotonic µs). Then those of standbys are closed when they are next looked at.
 */
void db_pool_seek_primary(struct db_pool *pool, int64_t deadline);

/* Closes the connections nobody uses now. */
void db_pool_drop_idle(struct db_pool *pool);

/*
 * Closes, when they are next looked at, the connections that were opened while role and database
 * had other settings (ALTER ROLE … SET, ALTER DATABASE … SET) than they have now, by the word of
 * `connection`: names without a schema may mean other tables there. Of sessions behind a pooler
 * nothing is known, nor where the role may not look at settings. False only when PostgreSQL could
 * not be asked.
 */
MUST_CHECK bool db_pool_renew(struct db_pool *pool, struct db_connection *connection,
                              int64_t timeout, struct db_failure *failure);

/* The same by the word of one of its own, where it gets one and PostgreSQL can be asked. */
void db_pool_renew_itself(struct db_pool *pool, int64_t timeout);

/* All connections forget their prepared statements before their next use. */
void db_pool_forget_prepared(struct db_pool *pool);

#endif
