/*
 * What the parts of larderd's workers share: one of them, and what it has in hand. Not for others,
 * who know work/jobs.h.
 */
#ifndef LARDER_WORK_JOBS_WORKER_H
#define LARDER_WORK_JOBS_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/quiet.h"
#include "base/thread.h"
#include "db/stop.h"
#include "queue/take.h"
#include "serve/later.h"
#include "work/backoff.h"
#include "work/jobs.h"

/* A call on the queue's Redis may take so long: µs. */
#define JOBS_REDIS_PATIENCE (2 * INT64_C(1000000))

/* How far the end has come that the daemon was asked for. */
enum jobs_end {
    JOBS_GO_ON,
    JOBS_ENDING,  /* nothing more is begun */
    JOBS_ABANDON, /* what runs is stopped, and left for others */
    JOBS_OVER,    /* no worker is left */
};

/* One job at work. */
struct jobs_task {
    const struct queue_task *filed;
    struct later later;
    struct span record; /* what it is answered; data null: not made */
    struct span why;    /* its try failed: QUEUE_WHY */
    bool cancelled;
};

struct jobs_worker {
    struct jobs *jobs;
    char name[QUEUE_WORKER_SIZE];
    struct thread thread;
    bool ended;
    struct redis_connection *redis, *responses; /* LARDER_QUEUE's, LARDER_REDIS' */
    struct db_stop *stop;
    struct desk *desk;
    struct queue_begun *begun;
    struct jobs_task *tasks; /* QUEUE_TAKE_MAX */
    bool unsure;             /* it may have been given jobs that it does not know of */
    size_t size;             /* so many jobs it takes at a time */
    int64_t held_since;      /* monotonic µs */
    pthread_mutex_t lock;    /* of what follows, which the keeper sees */
    struct queue_place held[QUEUE_TAKE_MAX];
    bool cancelled[QUEUE_TAKE_MAX];
    /* Statements that PostgreSQL has made of each; written by the worker without the lock. */
    _Atomic size_t made[QUEUE_TAKE_MAX];
    bool known[QUEUE_TAKE_MAX]; /* it was cancelled before it was begun: nothing of it runs */
    size_t held_count;
};

struct jobs {
    struct jobs_settings settings;
    struct queue_taker *taker;
    struct jobs_worker *workers;
    size_t worker_count;
    _Atomic enum jobs_end end;
    _Atomic int64_t claim_next; /* monotonic µs: when one of the workers looks for dead peers' */
    struct quiet trouble_quiet;
    _Atomic int64_t queue_failed; /* monotonic µs: when a call to the queue failed last */
    struct thread keeper, bell;
    bool keeper_ended;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t woken; /* the end has come further, or a thread has ended */
    bool database_away, redis_away;
    pthread_cond_t rung; /* there may be new jobs for one more worker, or the end */
    uint64_t rings;
};

/* Waits; false at once where the end has come to `until`, or further. */
bool jobs_pause(struct jobs *jobs, int64_t time, enum jobs_end until);

/* One line when something begins to fail and one when it is over. */
void jobs_tell(struct jobs *jobs, bool *failing, bool fails, const char *what, const char *why);

/* The same of LARDER_QUEUE, whom several threads ask. */
void jobs_tell_queue(struct jobs *jobs, bool fails, const char *why);

/* Is the job at this place of the worker's hand to be cancelled? */
bool jobs_worker_cancelled(struct jobs_worker *worker, const char *id);

/* One more worker looks for new jobs, if any has none. */
void jobs_ring(struct jobs *jobs);

/* How often that was called … */
uint64_t jobs_rings(struct jobs *jobs);

/* … and waits for it to be called once more than that, or for the end. */
void jobs_await(struct jobs *jobs, uint64_t rings);

/* The thread that hears the queue's bell; the argument is a struct jobs. */
void *jobs_bell_run(void *jobs);

/* The worker's thread. */
void *jobs_worker_run(void *worker);

/*
 * Runs what the worker has begun and tells the queue what became of it. Returns the µs that its
 * statements took.
 */
int64_t jobs_batch_run(struct jobs_worker *worker);

#endif
