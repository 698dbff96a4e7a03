/*
 * Filing jobs: after QUEUE_FILED Redis has the job, wholly or, whatever else is returned, not at
 * all; QUEUE_UNKNOWN alone means either.
 */
#ifndef LARDER_QUEUE_FILE_H
#define LARDER_QUEUE_FILE_H

#include "queue/names.h"
#include "queue/queue.h"

enum queue_outcome {
    QUEUE_OUTCOME_NONE,
    QUEUE_OUTCOME_FILED,
    QUEUE_OUTCOME_JOINED,  /* a job of the same dedupe waits or runs: `id` is its */
    QUEUE_OUTCOME_AGAIN,   /* this Idempotency-Key filed `id` */
    QUEUE_OUTCOME_OTHER,   /* the Idempotency-Key was used for another request */
    QUEUE_OUTCOME_FULL,    /* Redis has no room */
    QUEUE_OUTCOME_AWAY,    /* Redis is away or takes no writes */
    QUEUE_OUTCOME_UNKNOWN, /* Redis did not answer: it may have the job */
};

/* One job to be filed; all texts are the caller's. */
struct queue_filing {
    struct span route, version, owner, document;
    int64_t now;          /* wall clock µs */
    int64_t retries;      /* how often it may be tried again */
    int64_t timeout;      /* µs for one try */
    size_t statements;    /* that it runs */
    const char *dedupe;   /* a digest: one job at a time of it; null: any */
    const char *once;     /* a digest of who sent which Idempotency-Key; null: none … */
    const char *once_for; /* … and of what the request says */
    char id[QUEUE_ID_SIZE];
    enum queue_outcome outcome;
};

/* The most jobs in one call. */
#define QUEUE_BATCH 16

/*
 * Files jobs in one round trip, within *budget (µs; the time it takes is taken off it). Each filing
 * has its outcome and, where there is one, its job's id after it. An event, when its text is not
 * empty after the call, is worth a line of log.
 */
void queue_file(struct queue *queue, struct redis_connection *connection,
                struct queue_filing *const *filings, size_t count, int64_t *budget,
                struct error *ret_event);

#endif
