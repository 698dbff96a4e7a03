#include "db/learn_array.h"

#include <inttypes.h>
#include <stdio.h>

/* The type itself, or what it is a domain over, at any depth. */
static const char array_sql[] =
    "WITH RECURSIVE base (oid, under) AS ("
    " SELECT oid, typbasetype FROM pg_catalog.pg_type WHERE oid = $1::pg_catalog.oid"
    " UNION ALL SELECT t.oid, t.typbasetype FROM base AS b"
    " JOIN pg_catalog.pg_type AS t ON t.oid = b.under) "
    "SELECT 1 FROM base AS b JOIN pg_catalog.pg_type AS t ON t.oid = b.oid"
    " WHERE b.under = 0 AND t.typdelim = ','"
    " AND t.typinput = 'pg_catalog.array_in'::pg_catalog.regproc";

bool learn_is_array(struct db_connection *connection, uint32_t oid, int64_t timeout,
                    bool *ret_array, struct db_failure *failure)
{
    char number[16];
    const char *const values[] = {number};
    struct db_result *result;
    snprintf(number, sizeof number, "%" PRIu32, oid);
    if (!db_execute(connection, array_sql, values, 1, timeout, &result, failure))
        return false;
    *ret_array = db_result_rows(result) > 0;
    db_result_free(result);
    return true;
}
