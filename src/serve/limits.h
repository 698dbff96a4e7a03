/*
 * What an answer says of the limits its request was counted against (RateLimit fields,
 * draft-ietf-httpapi-ratelimit-headers-06).
 */
#ifndef LARDER_SERVE_LIMITS_H
#define LARDER_SERVE_LIMITS_H

#include "serve/exchange.h"

/*
 * Appends RateLimit-Limit, -Remaining and -Reset of the limit that is nearest, and RateLimit-Policy
 * with all. Nothing where nothing counts the request, or where nginx keeps the answer for others.
 */
void limits_append(const struct exchange *exchange, struct bytes *head);

#endif
