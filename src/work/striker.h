/*
 * larderd's jobs are struck as a responder's writes are: what a transaction changed is bumped in
 * Redis, and on this host, after its commit and before anybody is told that its jobs are done. So
 * whoever waits for a job and then reads sees what it changed.
 *
 * With Redis away the host's clocks alone are raised, and what the transaction left in the outbox
 * is bumped from there, later.
 */
#ifndef LARDER_WORK_STRIKER_H
#define LARDER_WORK_STRIKER_H

#include "base/counters.h"
#include "base/options.h"
#include "db/connection.h"
#include "redis/connection.h"

/* For any number of threads. */
struct striker;

/*
 * LARDER_REDIS must be set. The options and counters must outlive it. ERROR_INVALID: the URL.
 */
MUST_CHECK bool striker_new(const struct options *options, struct counters *counters,
                            struct striker **ret_striker, struct error *error);

/* Null is allowed. */
void striker_free(struct striker *striker);

/* A thread's own. Null: memory. */
struct redis_connection *striker_connection(const struct striker *striker) MUST_CHECK;

/* Looks the server's name up where that is due; by one thread, which may wait for it. */
void striker_resolve(struct striker *striker);

/* Strikes the tags, a line each, and those given apart. False: Redis was not told, and larderd's
 * outbox still has to. */
bool striker_strike(struct striker *striker, struct redis_connection *connection, struct span lines,
                    const struct span *own, size_t own_count);

#endif
