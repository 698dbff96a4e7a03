/*
 * What PostgreSQL says a route's statement reads: tables, columns and functions, through views and
 * the bodies of SQL functions, with the children of tables that others inherit from.
 */
#ifndef LARDER_DB_READS_H
#define LARDER_DB_READS_H

#include "db/connection.h"
#include "db/depends.h"
#include "db/tables.h"

/* What was read; `refused` tells why PostgreSQL would not say it (the rest is then empty). */
struct reads {
    struct read_table *tables; /* sorted by schema and name */
    size_t table_count;
    struct hazard_note *hazards;
    size_t hazard_count;
    bool hidden; /* a function may read more */
    const char *refused;
};

/*
 * Begins a transaction in which the statement is a view, and asks. The caller goes on asking in it
 * and must end it by reads_end, whatever was returned. `types` are the parameters'. False only
 * when PostgreSQL could not be asked, or had a lock to wait for through TABLES_TIMEOUT, in pieces
 * (db_lock_timeout) between which nothing is held.
 */
MUST_CHECK bool reads_begin(struct db_connection *connection, const struct route *route,
                            const uint32_t *types, struct arena *arena, struct reads *ret_reads,
                            struct db_failure *failure);

/* Rolls the transaction back. False: the connection is of no more use. */
MUST_CHECK bool reads_end(struct db_connection *connection, struct db_failure *failure);

#endif
