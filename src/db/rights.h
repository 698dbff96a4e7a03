/*
 * Whether a session's role may run a route's statements, which PostgreSQL tells when it plans them,
 * not when it prepares them.
 */
#ifndef LARDER_DB_RIGHTS_H
#define LARDER_DB_RIGHTS_H

#include "db/connection.h"
#include "db/learn.h"

/*
 * PostgreSQL's refusal for want of rights, in the arena; null: the role may, or it can't be told
 * (what is no SELECT, INSERT, UPDATE, DELETE … has no plan, and may change the role before the
 * others run; with rls the client's role asks).
 * Nothing is run.
 */
const char *rights_refusal(struct db_connection *connection, const struct route *route,
                           const struct learned *learned, struct arena *arena);

/*
 * Fills *ret_role with the session's role and *ret_roles with those whose rights it has without
 * taking them (INHERIT), in the arena; null: there are none, or it can't be told.
 */
void rights_inherited(struct db_connection *connection, struct arena *arena, const char **ret_role,
                      const char **ret_roles);

#endif
