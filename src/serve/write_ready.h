/*
 * What a write is held to before any of it is done, now or later.
 */
#ifndef LARDER_SERVE_WRITE_READY_H
#define LARDER_SERVE_WRITE_READY_H

#include "serve/exchange.h"

/* False: the exchange is settled with what is in the way. It may ask PostgreSQL only to tell that.
 */
MUST_CHECK bool write_ready(struct exchange *exchange);

#endif
