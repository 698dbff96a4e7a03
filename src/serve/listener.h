/*
 * Hands ready FastCGI connections to threads.
 *
 * A web server keeps connections open between requests; were a thread to wait on each, a few idle
 * ones would hold every thread while a new one waits in the backlog. So the threads that take
 * requests wait together (epoll) for the listening socket and every idle connection, and one has a
 * connection only while a request is on it. Threads thus bound the requests in work, never the
 * connections kept.
 */
#ifndef LARDER_SERVE_LISTENER_H
#define LARDER_SERVE_LISTENER_H

#include <stdint.h>

#include "base/counters.h"
#include "base/error.h"

struct listener;

/*
 * Silence within a request that a connection is forgiven, at each read: the peer is the web server,
 * which sends a request whole. Nobody else may reach the socket.
 */
#define LISTENER_SILENCE (10 * INT64_C(1000000))

/*
 * `socket` is a listening stream socket (made non-blocking here; it stays the caller's). The
 * error says what fd 0 or fd 3 should have been when it is none.
 */
MUST_CHECK bool listener_new(int socket, struct listener **ret_listener, struct error *error);

/* Where accepted connections are counted from now on; before any thread waits. */
void listener_count_in(struct listener *listener, struct counters *counters);

/* When no thread waits any more. Null is allowed. */
void listener_free(struct listener *listener);

/* The most connections handed out at once. */
#define LISTENER_BATCH 16

/* What is asked where few descriptors are left, and done where none is for a new connection. */
struct listener_relief {
    bool (*busy)(void *context); /* is a request at work, which may need one sooner? */
    void (*run)(void *context);  /* something else gives way */
    void *context;
};

/*
 * Waits for connections with something to read, new ones or kept ones, and hands out those that
 * are ready. The descriptors are the caller's until it gives them back or closes them. *ret_count
 * is 0 when no request came within `patience` (µs, rounded up to milliseconds), or sooner; -1 waits
 * on. A kept connection that its peer has closed is closed here. False: the listener was stopped
 * and nothing is ready any more.
 */
MUST_CHECK bool listener_next(struct listener *listener, const struct listener_relief *relief,
                              int64_t patience, int ret_connections[static LISTENER_BATCH],
                              size_t *ret_count);

/* Would listener_next have something to look at just now? */
bool listener_is_ready(const struct listener *listener);

/*
 * Has a whole request arrived, so that reading it waits for nobody? It has when the empty record is
 * there that closes a request's body (FastCGI, section 5.3). False is always safe.
 */
bool listener_request_whole(int connection);

/* Forgives silence on a connection for so long from now on (µs, at least a millisecond counts). */
void listener_forgive(int connection, int64_t silence);

/* Gives a connection back that the web server keeps. Once stopped it is closed instead. */
void listener_keep(struct listener *listener, int connection);

/*
 * No connection is accepted or kept any more; every listener_next is false once the requests that
 * have arrived on kept ones are served. Safe from any thread.
 */
void listener_stop(struct listener *listener);

#endif
