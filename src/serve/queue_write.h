/*
 * Events on their way to a reader. No thread waits for him: what he does not take at once is
 * written on when there is room, and he is broken off when he takes nothing for ten seconds.
 */
#ifndef LARDER_SERVE_QUEUE_WRITE_H
#define LARDER_SERVE_QUEUE_WRITE_H

#include "serve/exchange.h"

/* `bytes` live as long as the watch. False: the exchange is sent, to its end or not. */
MUST_CHECK bool queue_write_begin(struct exchange *exchange, struct span bytes);

/* Is anything left to be written? Then there is no look before it is. */
bool queue_writes(const struct exchange *exchange);

/* Goes on. False: the exchange is sent; else it writes still, or is to look again. */
MUST_CHECK bool queue_write_go_on(struct exchange *exchange);

/* The exchange is sent; `broken`: not whole. */
void queue_write_end(struct exchange *exchange, bool broken);

#endif
