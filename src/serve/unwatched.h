/*
 * Who forgets `larder install` is told so at the start, at each reload and when a column came:
 * nothing else shows, but that every answer is kept for a few seconds alone.
 */
#ifndef LARDER_SERVE_UNWATCHED_H
#define LARDER_SERVE_UNWATCHED_H

#include "serve/server.h"

/* A line of log where a kept route of `live` reads what no trigger is on, as PostgreSQL told. */
void unwatched_tell(const struct server *server, struct live *live);

#endif
