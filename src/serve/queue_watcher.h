/*
 * Those who wait for a job: requests parked until there is news of it, without a thread each.
 *
 * One thread listens to the queue's news while anybody waits, and gives whoever is concerned back
 * to the crew, as it does when a request's time is over or its client has left. No news is lost
 * between a look at a job and the parking: a request is parked only if nothing was heard of its job
 * since before the look, by a subscription that lasted all the while.
 */
#ifndef LARDER_SERVE_QUEUE_WATCHER_H
#define LARDER_SERVE_QUEUE_WATCHER_H

#include "base/counters.h"
#include "base/error.h"
#include "queue/queue.h"
#include "serve/job.h"

struct queue_watcher;

struct queue_watcher_settings {
    struct queue *queue;
    struct counters *counters;
    size_t most;     /* requests that may wait at a time */
    int64_t timeout; /* µs for Redis to confirm a subscription */
    /* Takes requests that are to be gone on with; the list is empty after it. */
    void (*wake)(void *context, struct job_list *jobs);
    void *context;
};

MUST_CHECK bool queue_watcher_start(const struct queue_watcher_settings *settings,
                                    struct queue_watcher **ret_watcher, struct error *error);

/* From now on nobody waits: those who do are given back, those who write when they have. Null is
 * allowed. */
void queue_watcher_close(struct queue_watcher *watcher);

/* Only when nobody waits. When it has returned `wake` is called no more. Null is allowed. */
void queue_watcher_stop(struct queue_watcher *watcher);

/*
 * A place among those who may wait; false: there is none for him. Once more than half are taken,
 * whoever has more than a quarter gets no further one. `owner`: queue_owner's, of who asks; those
 * of nobody who is signed in are not counted together.
 */
MUST_CHECK bool queue_watcher_admit(struct queue_watcher *watcher, struct span owner);

/* His place is free again. */
void queue_watcher_release(struct queue_watcher *watcher, struct span owner);

/* What had been heard at a moment: taken before a look. */
struct queue_watcher_mark {
    uint64_t subscription, heard;
};

struct queue_watcher_mark queue_watcher_mark(struct queue_watcher *watcher);

enum queue_parking {
    QUEUE_PARKED,  /* the request is no longer the caller's */
    QUEUE_CHANGED, /* there is news of the job since the mark: look again */
    QUEUE_CLOSED,  /* nobody waits any more */
};

/*
 * Parks a request that was admitted until there is news of the job, or it is `until` (monotonic
 * µs), or its client has left. `connection` is what the client's leaving closes; -1: none.
 * One that is `writing` waits for room in the connection, not for news; and so it may for some
 * seconds when nobody else may wait.
 */
MUST_CHECK enum queue_parking queue_watcher_park(struct queue_watcher *watcher, struct job *job,
                                                 struct span id, struct queue_watcher_mark mark,
                                                 int64_t until, int connection, bool writing);

#endif
