/*
 * Writes of @behind: queued, and answered before a daemon makes them in batches. What a request can
 * be refused for has been before it is queued; what PostgreSQL alone could refuse it for is found
 * when nobody waits for an answer any more.
 */
#ifndef LARDER_SERVE_BEHIND_H
#define LARDER_SERVE_BEHIND_H

#include "serve/exchange.h"

/* Is this write to be made in a batch? */
bool behind_wanted(const struct exchange *exchange);

/* Queues it and settles the exchange; one that is left seeking is to be made at once (full=now). */
void behind_run(struct exchange *exchange);

#endif
