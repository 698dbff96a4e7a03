/*
 * What a connection remembers of the statements that were prepared on it, by their ids. Not for
 * other folders.
 */
#ifndef LARDER_DB_PREPARED_H
#define LARDER_DB_PREPARED_H

#include "db/round.h"

#define PREPARED_NAME_SIZE 32

/*
 * What an identity's role, $1, becomes in set_config; null: the session's own. By its name that one
 * is refused as a role that there is none of (''), since it may do more than any client.
 */
#define DB_ROLE_SQL                                                                                \
    "CASE $1::pg_catalog.text WHEN session_user::pg_catalog.text THEN ''"                          \
    " ELSE coalesce($1::pg_catalog.text, 'none') END"

/* Takes an identity's role and claims: values, never spliced; both end with the transaction. */
extern const char db_identity_sql[];

/* What a ROLLBACK leaves: gives back the locks of the session. */
extern const char db_unlock_sql[];

/* The name that the server knows the statement by. */
void prepared_name(uint64_t id, char ret_name[static PREPARED_NAME_SIZE]);

bool prepared_has(struct db_connection *connection, uint64_t id);

/*
 * The server has it now. Too many, and all are forgotten before the next use; beyond what there is
 * room for none is noted, which only such a transaction as prepares them all can come to.
 */
void prepared_add(struct db_connection *connection, uint64_t id);

/* The server has none any more. */
void prepared_clear(struct db_connection *connection);

#endif
