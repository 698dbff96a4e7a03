/*
 * What may stay in a session after a statement: settings, locks of the session, temporary tables,
 * LISTEN. Pools hand the session to others, so whoever may have left something is cleaned up after
 * (db/attempt.h); a plain statement, which can't have, costs nothing.
 */
#ifndef LARDER_DB_SESSION_H
#define LARDER_DB_SESSION_H

#include "db/connection.h"
#include "route/route.h"

/* What one look at the definitions told: good for all routes that are asked about in one go. */
struct session_look {
    bool looked;
    bool plain;
};

/*
 * Do the route's statements leave nothing there? Not if one may by its own text, or if there is
 * anything in the database that may when a statement sets it off: a function whose text says so, or
 * that makes up statements; a default, a condition, a view or a policy that calls what does.
 * Functions in C are taken at their word. The database is asked unless `look`, all 0 at first, has
 * its answer.
 */
MUST_CHECK bool session_ask_plain(struct db_connection *connection, const struct route *route,
                                  int64_t timeout, struct session_look *look, bool *ret_plain,
                                  struct db_failure *failure);

#endif
