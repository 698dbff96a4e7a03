/*
 * A table as people name it, and the tags that `larder install` gave triggers for.
 */
#ifndef LARDER_DB_WATCHES_H
#define LARDER_DB_WATCHES_H

#include "base/arena.h"
#include "db/connection.h"

/* Terminated, as PostgreSQL has them, unquoted. */
struct table_name {
    const char *schema;
    const char *name;
};

/*
 * The table that SQL calls `name`, under the search_path where it has no schema; where it is a
 * partition, with the tables it is a part of. None: there is no such table. A name that is no name
 * is DB_FAILURE_STATEMENT.
 */
MUST_CHECK bool watches_tables(struct db_connection *connection, const char *name,
                               struct arena *arena, struct table_name **ret_tables,
                               size_t *ret_count, struct db_failure *failure);

/*
 * Calls `visit` for each tag in larder.watch of the table; the span is gone after the call. For
 * none where `larder install` was not run, or the role may not look.
 */
MUST_CHECK bool watches_tags(struct db_connection *connection, const struct table_name *table,
                             void (*visit)(void *context, struct span tag), void *context,
                             struct db_failure *failure);

#endif
