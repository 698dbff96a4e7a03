/*
 * Whether the database has what makes a job, or a queued write, be made once, however often it is
 * delivered: without `larder install` none is filed.
 */
#ifndef LARDER_SERVE_INSTALLED_H
#define LARDER_SERVE_INSTALLED_H

#include "db/connection.h"
#include "serve/server.h"

enum installed {
    INSTALLED_UNKNOWN, /* PostgreSQL could not be asked so far */
    INSTALLED_NO,
    INSTALLED_YES,
};

enum installed installed_jobs(const struct server *server);

/* Asks over this connection; what can't be asked stays as it was. */
void installed_ask(struct server *server, struct db_connection *connection);

/* Once a second, while there are routes that need it and it is not there. server_routes_tick's. */
bool installed_due(struct server *server, int64_t now);

#endif
