/*
 * The responder's threads.
 *
 * A few *fronts* take requests: each waits for ready connections, reads the requests of several at
 * once, asks the cache for all of them in one round trip, and answers those it can answer at once.
 * Whatever needs the database, or is large, goes to the *hands*. So a hit costs the least, never
 * waits behind a slow statement, and the busier the responder is the more requests share a round
 * trip.
 */
#ifndef LARDER_SERVE_WORKER_H
#define LARDER_SERVE_WORKER_H

#include "serve/listener.h"
#include "serve/server.h"

struct crew;

/* Starts `hands` hands, and fronts by the number of processors. On false none is left running. */
MUST_CHECK bool crew_start(struct server *server, struct listener *listener, size_t hands,
                           struct crew **ret_crew, struct error *error);

/* Waits until every thread has ended: after listener_stop, when the requests in work are answered.
 */
void crew_join(struct crew *crew);

#endif
