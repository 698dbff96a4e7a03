/*
 * Arrays of types that Larder has no rules for: enums, domains, inet and all others.
 */
#ifndef LARDER_DB_LEARN_ARRAY_H
#define LARDER_DB_LEARN_ARRAY_H

#include "db/connection.h"

/*
 * Is the type behind the oid an array, written as {a,b}, or a domain over one? Others only look
 * like one: int2vector.
 */
MUST_CHECK bool learn_is_array(struct db_connection *connection, uint32_t oid, int64_t timeout,
                               bool *ret_array, struct db_failure *failure);

#endif
