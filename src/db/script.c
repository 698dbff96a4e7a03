/*
 * Several statements in one text, as `larder install` has them.
 */
#include "db/round.h"

#include "base/clock.h"

bool db_script(struct db_connection *connection, const char *sql, int64_t timeout,
               struct db_failure *failure)
{
    PGresult *rows = NULL;
    if (!PQsendQuery(connection->handle, sql))
        return db_lost(connection, failure);
    if (!db_round_trip(connection, clock_monotonic() + timeout, &rows, failure))
        return false;
    PQclear(rows);
    return true;
}
