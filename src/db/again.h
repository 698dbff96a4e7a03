/*
 * Attempts at a transaction, on connections of the pool, until one ends it or none may follow. Not
 * for other folders.
 */
#ifndef LARDER_DB_AGAIN_H
#define LARDER_DB_AGAIN_H

#include "db/attempt.h"

struct again {
    struct db_pool *pool;
    int64_t timeout; /* µs for all attempts together */
    /*
     * One attempt, of `timeout` µs. On false nothing was committed, except after
     * DB_FAILURE_UNKNOWN, and *ret_again is set.
     */
    bool (*run)(void *context, struct db_connection *connection, int64_t timeout,
                enum write_again *ret_again, struct db_failure *failure);
    void *context;
};

MUST_CHECK bool again_run(const struct again *again, struct db_failure *failure);

#endif
