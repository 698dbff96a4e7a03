/*
 * Every answer in Redis, by key. For tools: whoever answers requests never scans.
 */
#ifndef LARDER_CACHE_SCAN_H
#define LARDER_CACHE_SCAN_H

#include "redis/connection.h"

/* False ends the scan. The key is gone after the call. */
typedef bool cache_scan_visit(void *context, struct span key);

/*
 * Calls `visit` for the key of each answer that is there all the time; perhaps for others, and
 * perhaps twice (Redis' SCAN). `patience` µs bound each of its calls of Redis, not the visits.
 * Errors as redis_call's, and ERROR_UNAVAILABLE for what Redis refuses; a scan that was ended is
 * none.
 */
MUST_CHECK bool cache_scan(struct redis_connection *connection, const char *prefix,
                           int64_t patience, cache_scan_visit *visit, void *context,
                           struct error *error);

#endif
