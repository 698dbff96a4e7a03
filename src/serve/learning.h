/*
 * What PostgreSQL tells of the routes: asked before they are served, again until it has told all,
 * and anew whenever definitions changed.
 *
 * It is asked over a connection of its own, so that learning neither takes one from requests nor
 * runs under their time-outs.
 */
#ifndef LARDER_SERVE_LEARNING_H
#define LARDER_SERVE_LEARNING_H

#include "serve/server.h"

/*
 * How long PostgreSQL may take to let the learning connection in, and for each of its answers. A
 * process that is to end waits for it.
 */
#define LEARN_CONNECT_TIMEOUT INT64_C(1000000)
#define LEARN_TIMEOUT (5 * INT64_C(1000000))

/* One thread's at a time. False: not told all; it is asked again later. */
MUST_CHECK bool learning_ask(struct server *server, struct live *live, struct fault_list *faults,
                             struct db_failure *failure);

/* Asks what PostgreSQL has not told, or not as of now. Ten times a second; server_routes_tick's. */
void learning_tick(struct server *server);

/*
 * Are these routes' dependencies known as of the last change of definitions in PostgreSQL that
 * could have been heard of? If not, or if none could be heard of, no answer may be kept for long.
 *
 * `told` is the number of one that Redis told of (store_lease.definitions); 0: none. It may be
 * ahead of the feed, and an answer made under a clock above it is not struck by it.
 */
bool learning_is_current(const struct server *server, const struct live *live, uint64_t told);

/*
 * Do the statements of this route of the live leave nothing in the session of the database? Where a
 * change of definitions would not be heard of, none is trusted to.
 */
bool learning_is_plain(const struct server *server, const struct live *live,
                       const struct learned *learned);

#endif
