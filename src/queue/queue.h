/*
 * The Redis server that keeps writes to be made later, shared by all threads of a process.
 *
 * It is another database or server than the one of the responses: what stands here must not be
 * evicted. Every call on it has a deadline, and none is made while the breaker is open; nobody who
 * was told that a write is kept was told so before Redis had it.
 */
#ifndef LARDER_QUEUE_QUEUE_H
#define LARDER_QUEUE_QUEUE_H

#include "base/counters.h"
#include "base/options.h"
#include "redis/address.h"
#include "redis/connection.h"
#include "redis/subscription.h"

struct queue;

struct queue_settings {
    struct redis_address address; /* its texts must outlive the queue */
    const char *prefix;           /* of every key */
    int64_t probe;                /* µs between probes of an open breaker */
    int64_t job_ttl;              /* µs that a job which has ended is kept */
    int64_t once_ttl;             /* µs that an Idempotency-Key is remembered */
    struct counters *counters;
};

/*
 * Do both addresses lead to one database? Then what is kept there could be evicted as a response,
 * and a purge would take it. Only what the addresses themselves tell.
 */
bool queue_address_same(const struct redis_address *one, const struct redis_address *other);

/*
 * As LARDER_QUEUE and the options beside it say; *ret_queue is null where it is empty.
 * ERROR_INVALID: it is no address, or that of LARDER_REDIS. The address's texts are in `arena`.
 */
MUST_CHECK bool queue_open(const struct options *options, struct arena *arena,
                           struct counters *counters, struct queue **ret_queue,
                           struct error *error);

/* Looks no name up yet. Null: memory. */
struct queue *queue_new(const struct queue_settings *settings) MUST_CHECK;
void queue_free(struct queue *queue);

/* As cache_store_resolve. */
MUST_CHECK bool queue_resolve(struct queue *queue, int64_t now, struct error *error);

/* Is there a number to connect to: no name, or one that was found? From any thread. */
bool queue_is_found(const struct queue *queue);

/* A thread's own connection. Null: memory. */
struct redis_connection *queue_connection(const struct queue *queue) MUST_CHECK;

/* A subscription as redis_subscription_new makes it. Null: memory. */
struct redis_subscription *queue_subscription(const struct queue *queue,
                                              int64_t silence) MUST_CHECK;

const char *queue_prefix(const struct queue *queue);

#endif
