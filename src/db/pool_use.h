/*
 * Taking a connection of the pool for more than one statement. Not for other folders.
 */
#ifndef LARDER_DB_POOL_USE_H
#define LARDER_DB_POOL_USE_H

#include "db/pool.h"

enum db_wanted {
    DB_WANTED_ANY,
    DB_WANTED_FRESH,   /* opened now: the caller has just seen one that was lost */
    DB_WANTED_PRIMARY, /* none known to be a standby's; opened now, it may still be one */
};

/*
 * As db_pool_take, but no longer than the guest is there: when he has left it is DB_FAILURE_BUSY
 * after a quarter of a second at most.
 */
MUST_CHECK bool db_pool_take_for(struct db_pool *pool, enum db_wanted wanted,
                                 const struct db_guest *guest,
                                 struct db_connection **ret_connection, struct db_failure *failure);

/* DB_FAILURE_BUSY when none became free in time. It must be given back. */
MUST_CHECK bool db_pool_take(struct db_pool *pool, enum db_wanted wanted,
                             struct db_connection **ret_connection, struct db_failure *failure);

/* What the writes of the pool share. */
struct write_known *db_pool_known(struct db_pool *pool);

/*
 * May the caller, whom a standby refused, look for the primary? Always where one was found last,
 * else one caller a second: those that wait for a server that is gone hold up no others.
 */
bool db_pool_may_seek(struct db_pool *pool);

/* A broken one is closed. */
void db_pool_give(struct db_pool *pool, struct db_connection *connection);

#endif
