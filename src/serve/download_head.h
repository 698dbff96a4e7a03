/*
 * What the answer of a download says of itself.
 */
#ifndef LARDER_SERVE_DOWNLOAD_HEAD_H
#define LARDER_SERVE_DOWNLOAD_HEAD_H

#include "serve/exchange.h"

/* The format that this client gets. False: it accepts none that the route offers, 406. */
MUST_CHECK bool download_format(const struct exchange *exchange, enum route_format *ret_format);

/* "text/csv, application/json": for a 406. In the arena; null: memory. */
const char *download_types(const struct exchange *exchange) MUST_CHECK;

/* The whole head, the empty line included; `gzip`: the body comes so. False: memory. */
MUST_CHECK bool download_head_write(struct exchange *exchange, enum route_format format, bool gzip,
                                    struct bytes *head);

/* Does the client want nothing where there is anything (If-None-Match: *)? A list names nothing. */
bool download_is_held(const struct exchange *exchange);

/* Settles it with 304, which says what the 200 would of the caches. */
void download_held(struct exchange *exchange);

#endif
