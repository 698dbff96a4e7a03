/*
 * The pool that test programs run statements over.
 */
#ifndef LARDER_TESTS_SUPPORT_POOL_H
#define LARDER_TESTS_SUPPORT_POOL_H

#include <string.h>

#include "db/pool.h"

/* With the argument "transaction" it is behind a pooler of transactions. */
static inline struct db_pool_settings pool_settings(int count, char **arguments)
{
    return (struct db_pool_settings){
        .connections = 2,
        .queue = 10,
        .wait = 2000000,
        .connection = {.transaction_pooling = count > 1 && strcmp(arguments[1], "transaction") == 0,
                       .statement_timeout = 10000000}};
}

#endif
