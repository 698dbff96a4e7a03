/*
 * Taking jobs, the daemon's side of the queue.
 *
 * A job that was taken lies with the worker that took it until it is ended, or until the worker has
 * not kept it for QUEUE_CLAIM_AFTER: then others may claim it. All times are Redis' clock, so hosts
 * need not agree on one. Every call is one round trip until its deadline, without a breaker; after
 * false Redis may have done it nonetheless, and each may be done again.
 */
#ifndef LARDER_QUEUE_TAKE_H
#define LARDER_QUEUE_TAKE_H

#include "queue/names.h"
#include "queue/queue.h"

/* How long a worker may be silent before its jobs are another's: µs. */
#define QUEUE_CLAIM_AFTER INT64_C(5000000)

/* So many jobs a call at most. */
#define QUEUE_TAKE_MAX 100

#define QUEUE_ENTRY_SIZE 48
#define QUEUE_WORKER_SIZE 64

/* What the workers of a process share; constant once made. */
struct queue_taker;

/* The queue must outlive it. `dead_ttl`: µs that a job which failed is kept. Null: memory. */
struct queue_taker *queue_taker_new(const struct queue *queue, int64_t job_ttl,
                                    int64_t dead_ttl) MUST_CHECK;

/* Null is allowed. */
void queue_taker_free(struct queue_taker *taker);

/* A place in the stream, and whose it is. */
struct queue_place {
    char entry[QUEUE_ENTRY_SIZE];
    char id[QUEUE_ID_SIZE];
};

enum queue_from {
    QUEUE_FROM_NEW,  /* what nobody was given yet */
    QUEUE_FROM_OWN,  /* what this worker was given and has not ended, from the oldest */
    QUEUE_FROM_DEAD, /* what others have and did not keep */
};

/*
 * Up to `most` (at most QUEUE_TAKE_MAX) jobs for this worker, of those there are: none is waited
 * for. Makes the group where there is none. ret_places has room for `most`.
 */
MUST_CHECK bool queue_take(const struct queue_taker *taker, struct redis_connection *connection,
                           const char *worker, enum queue_from from, size_t most, int64_t deadline,
                           struct queue_place *ret_places, size_t *ret_count, struct error *error);

struct queue_task {
    struct queue_place place;
    bool wanted; /* false: it has ended, or is gone, and was taken from the stream: no more here */
    struct span route, version, owner, document;
    int64_t filed;    /* wall clock µs */
    int64_t tries;    /* this one included; one that a dead worker began is not counted again */
    int64_t retries;  /* that it may have */
    int64_t timeout;  /* µs */
    int64_t deaths;   /* workers that did not end it */
    int64_t troubles; /* tries that failed by the server's trouble, and did not count */
    bool cancelled;   /* it is to be cancelled, unless it was made before */
};

struct queue_begun {
    struct redis_reply *reply; /* what the jobs' texts lie in; redis_reply_free */
    struct queue_task tasks[QUEUE_TAKE_MAX];
    size_t count;
};

/*
 * The jobs at these places are running from now on. One that was to be cancelled while a worker had
 * it is among them: only PostgreSQL knows whether that worker made it.
 */
MUST_CHECK bool queue_begin(const struct queue_taker *taker, struct redis_connection *connection,
                            const struct queue_place *places, size_t count, int64_t deadline,
                            struct queue_begun *ret_begun, struct error *error);

/* What becomes of a job. */
struct queue_end {
    struct queue_place place;
    enum queue_state state; /* QUEUE_QUEUED: it is tried again; else an end */
    int64_t delay;          /* of QUEUE_QUEUED: µs until then */
    bool uncounted;         /* … and what it was begun for was no try, … */
    bool trouble;           /* … for the server was in trouble: counted by itself */
    unsigned status;        /* of an end: the answer's; 0: none */
    struct span type, location, body;
    struct span why; /* a try failed: QUEUE_WHY; empty: that stays as it is */
};

MUST_CHECK bool queue_end(const struct queue_taker *taker, struct redis_connection *connection,
                          const struct queue_end *ends, size_t count, int64_t deadline,
                          struct error *error);

/* The worker lives: these jobs stay its own. */
MUST_CHECK bool queue_keep(const struct queue_taker *taker, struct redis_connection *connection,
                           const char *worker, const struct queue_place *places, size_t count,
                           int64_t deadline, struct error *error);

/* So many statements of each of these jobs are made; and which are to be cancelled. */
MUST_CHECK bool queue_progress(const struct queue_taker *taker, struct redis_connection *connection,
                               const struct queue_place *places, const size_t *made, size_t count,
                               int64_t deadline, bool *ret_cancelled, struct error *error);

/* How the queue stands. */
struct queue_sizes {
    int64_t jobs;    /* wait now or run */
    int64_t running; /* of them: were given to a worker */
    int64_t later;   /* wait for their next try */
    int64_t dead;
};

/*
 * Moves the jobs whose next try is due into the stream, forgets old dead letters and workers that
 * are long gone, and counts.
 */
MUST_CHECK bool queue_tend(const struct queue_taker *taker, struct redis_connection *connection,
                           int64_t deadline, struct queue_sizes *ret_sizes, struct error *error);

/* The worker takes no more; what it still has is left for others to claim. */
void queue_leave(const struct queue_taker *taker, struct redis_connection *connection,
                 const char *worker, int64_t deadline);

#endif
