/*
 * What nginx keeps of other routes: its key knows no version, so a page of a route that was
 * changed, or taken away, since it was kept counts as stale, and larderd asks for it anew.
 */
#ifndef LARDER_SERVE_OUTDATED_H
#define LARDER_SERVE_OUTDATED_H

#include "serve/server.h"

/*
 * Looks at all that nginx keeps on this host, once for the routes as they are now, and again where
 * another process held some of it. server_routes_tick's.
 */
void outdated_tick(struct server *server);

#endif
