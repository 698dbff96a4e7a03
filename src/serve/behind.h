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

/* May a front queue it, since it is not made at once in any case? */
bool behind_quick(const struct exchange *exchange);

/* Can a front queue it as it is, without reading its body or asking PostgreSQL? */
bool behind_ready(const struct exchange *exchange);

/*
 * Queues up to QUEUE_BATCH writes, in one round trip, and settles their exchanges; one that is left
 * seeking is to be made at once (full=now).
 */
void behind_run(struct server *server, struct redis_connection *connection,
                struct exchange *const *exchanges, size_t count);

#endif
