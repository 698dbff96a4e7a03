/*
 * Writes that are filed as jobs instead of being made: what is asked of the queue for a request,
 * and what its word means. Everything a request can be refused for has been before it is filed.
 */
#ifndef LARDER_SERVE_FILING_H
#define LARDER_SERVE_FILING_H

#include "serve/exchange.h"

/* Is this write to be made later? */
bool filing_wanted(const struct exchange *exchange);

/* Reads the body of a write that is made later, where that is short and has arrived. */
void filing_body(struct exchange *exchange);

/* Can it be filed as it is, without reading its body or asking PostgreSQL? */
bool filing_ready(const struct exchange *exchange);

/*
 * Files and settles up to QUEUE_BATCH exchanges that want it, in one round trip; one whose client
 * is ready to wait for the job is WATCHING it then. `alone`: nothing else is under way, so the
 * thread may stay awake for Redis.
 */
void filing_run(struct server *server, struct redis_connection *connection,
                struct exchange *const *exchanges, size_t count, bool alone);

#endif
