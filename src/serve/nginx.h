/*
 * nginx as a cache of answers: what it is told, and what is noted of that for larderd.
 *
 * nginx keeps what X-Accel-Expires says, and its site passes LARDER_NGINX with each request its
 * zone has met: "keep" for a client's, "refresh" for larderd's, empty for one that goes around.
 */
#ifndef LARDER_SERVE_NGINX_H
#define LARDER_SERVE_NGINX_H

#include "serve/exchange.h"

/*
 * Once the route is known: of one that nginx keeps it wants the whole answer, and answers
 * If-None-Match from that itself. (What nginx judges otherwise than Larder never meets the zone.)
 */
void nginx_begin(struct exchange *exchange);

/* Is it larderd that asks, to make anew what nginx keeps? */
bool nginx_is_refresh(const struct exchange *exchange);

/*
 * Appends X-Accel-Expires to the head of an answer of this status: for how many seconds nginx may
 * keep it, noted before it is sent; 0 where it may not. A refresh that finds nothing to be kept
 * replaces what nginx has by an answer that is over.
 */
void nginx_append(struct exchange *exchange, unsigned status, struct bytes *head);

#endif
