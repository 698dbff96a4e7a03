/*
 * The responder's threads: each takes a ready connection, answers the request on it, and gives the
 * connection back. The only user of libfcgi.
 *
 * A known limit: a peer on the socket, which is to be the web server alone, can end the process by
 * a parameter whose lengths sum up to just under 2 GB, in an assertion of libfcgi 2.4.2. No HTTP
 * request makes a web server send that.
 */
#ifndef LARDER_SERVE_WORKER_H
#define LARDER_SERVE_WORKER_H

#include "serve/listener.h"
#include "serve/server.h"

struct crew;

/* Once in a process, before crew_start. */
MUST_CHECK bool worker_library_init(struct error *error);

/* Starts `count` threads. On false none is left running. */
MUST_CHECK bool crew_start(struct server *server, struct listener *listener, size_t count,
                           struct crew **ret_crew, struct error *error);

/* Waits until every thread has ended: after listener_stop, when the requests in work are answered.
 */
void crew_join(struct crew *crew);

#endif
