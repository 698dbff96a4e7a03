/*
 * Counts requests against their limits, in Redis, where all processes and hosts meet.
 *
 * All limits of a request must pass, and none is charged when one refuses. Whoever is over a limit
 * is remembered here until it can pass again, so that he costs no round trip. While Redis is away
 * the process counts by itself, with the same limits.
 */
#ifndef LARDER_LIMIT_LIMITER_H
#define LARDER_LIMIT_LIMITER_H

#include "base/counters.h"
#include "limit/rate.h"
#include "redis/connection.h"

struct limiter;

struct limiter_settings {
    bool present;                 /* without Redis the process' own count is all there is */
    struct redis_address address; /* its texts must outlive the limiter */
    const char *prefix;           /* of every key */
    int64_t probe;                /* µs between probes of an open breaker */
    struct counters *counters;
};

/* Looks no name up yet. Null: memory. */
struct limiter *limiter_new(const struct limiter_settings *settings) MUST_CHECK;
void limiter_free(struct limiter *limiter);

/* As cache_store_resolve. */
MUST_CHECK bool limiter_resolve(struct limiter *limiter, int64_t now, struct error *error);

/* A thread's own connection, null where there is no Redis. False: memory. */
MUST_CHECK bool limiter_connection(const struct limiter *limiter,
                                   struct redis_connection **ret_connection);

/* The most limits of one request, and the most requests in one call. */
#define LIMITER_COUNTS 8
#define LIMITER_BATCH 16

/* What names a count: 22 characters of a digest, terminated. */
#define LIMITER_NAME_SIZE 23

/*
 * Names the count of `subject` under a limit: `scope` is the route and the limit as written, `kind`
 * keeps an address apart from a user who is called like it. ERROR_INTERNAL, ERROR_MEMORY.
 */
MUST_CHECK bool limiter_name(const char *scope, const char *kind, struct span subject,
                             char ret_name[static LIMITER_NAME_SIZE], struct error *error);

struct limit_count {
    char name[LIMITER_NAME_SIZE];
    struct rate rate;
    double debt; /* µs, after the decision: see rate.h */
};

enum limiter_outcome {
    LIMITER_UNDECIDED,
    LIMITER_PASSED,
    LIMITER_REFUSED, /* the counts whose rate does not pass say why */
    LIMITER_AWAY,    /* Redis could not be asked; it passed by what the process knows */
};

struct limit_request {
    struct limit_count counts[LIMITER_COUNTS];
    size_t count; /* 1 at least */
    enum limiter_outcome outcome;
};

/* By what the process knows already: is the request over? Then its outcome is LIMITER_REFUSED. */
MUST_CHECK bool limiter_knows(struct limiter *limiter, struct limit_request *request);

/*
 * Decides up to LIMITER_BATCH requests in one round trip. *budget is how long (µs) they may wait
 * for Redis; the time the call took is taken off it. An event, when its text is not empty after the
 * call, is worth a line of log.
 */
void limiter_decide(struct limiter *limiter, struct redis_connection *connection,
                    struct limit_request *const *requests, size_t count, int64_t *budget,
                    struct error *ret_event);

#endif
