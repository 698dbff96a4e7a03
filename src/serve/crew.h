/*
 * What the kinds of threads of a responder share. Not for other files than theirs: worker.c (their
 * life), front.c, admit.c, seek.c, watch.c, hand.c, usher.c.
 *
 * Invariant: a job is with one thread, or in one of the crew's lists, or parked in a flight; it is
 * counted in `active` from crew_take until crew_give_back.
 */
#ifndef LARDER_SERVE_CREW_H
#define LARDER_SERVE_CREW_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/thread.h"
#include "serve/job.h"
#include "serve/worker.h"

struct member {
    struct crew *crew;
    struct tools tools;
    struct thread thread;
    pthread_cond_t called; /* a hand at rest is wanted */
    bool resting;          /* … and is on the crew's stack, above `next` */
    struct member *next;
    bool lone; /* a front's batch is of one request */
    /* Of those answered who had jobs filed, for which the bell is still to be rung: when the first
     * was answered (0: there is none), and when the last. Monotonic µs. */
    int64_t filed_first, filed_last;
    unsigned reliefs; /* of the crew's: up to which this one has given way */
    /* Of a front, µs for Redis: what the requests of the batch at hand may have waited until now;
     * of that before the front took them; and what those that come next may have. */
    int64_t redis_waited, held_up, holds_up;
    int64_t held_up_until; /* monotonic µs */
};

struct crew {
    struct server *server;
    struct listener *listener;
    pthread_mutex_t lock;
    pthread_cond_t rung;     /* something for the usher, or the end */
    pthread_cond_t resting;  /* no job is active */
    struct member *hands;    /* at rest, the last to have worked first */
    struct job_list waiting; /* for a hand */
    struct job_list woken;   /* for the usher: no longer parked */
    struct job_list queued;  /* for the usher: to look again at their time */
    struct job_list spare;
    size_t active;
    size_t away;      /* fronts that go on with a request themselves; one at least does not */
    size_t downloads; /* given to the hands and not yet ended */
    unsigned reliefs; /* how often no descriptor was left for a connection */
    bool closed;      /* no further job will come */
    _Atomic int64_t bell_rung; /* monotonic µs: the last ring for jobs filed */
    size_t started;
    size_t front_count; /* members[0] to front_count - 1; then the usher; then the hands */
    size_t count;
    struct member members[];
};

/* Is one request alone being worked on? */
bool crew_alone(struct crew *crew);

/* Is any request being worked on? */
bool crew_busy(const struct member *member);

/*
 * No descriptor is left for another connection: those to PostgreSQL that nobody uses, the member's
 * own to Redis, and soon those of all idle threads are closed; they are opened again when needed.
 */
void crew_relieve(struct member *member);

/* With nothing to do the member holds no descriptor that others lack. The crew is locked. */
void crew_give_way(struct member *member);

/* The requests at hand, and those that came meanwhile, have waited for Redis so long: µs. */
void crew_waited(struct member *member, int64_t waited);

/* Takes an empty job; null: memory. */
struct job *crew_take(struct crew *crew) MUST_CHECK;

/* The job is empty. */
void crew_give_back(struct crew *crew, struct job *job);

/* Puts a hand to rest until it is called; it need not be for a job. The crew is locked. */
void crew_rest(struct member *hand);

/* For a hand. */
void crew_hand_over(struct crew *crew, struct job *job);

/* Is it a download that is still to be sent? */
bool crew_is_download(const struct job *job);

/*
 * A download, for a hand. False: each hand has one already, and the job stays the caller's.
 */
MUST_CHECK bool crew_hand_download(struct crew *crew, struct job *job);

/* For the usher: parked jobs to be gone on with. */
void crew_wake(struct crew *crew, struct job_list *jobs);

/* For the usher: looks again when the exchange says so. */
void crew_queue(struct crew *crew, struct job *job);

/* Walks what fills an answer, once. */
void crew_fill(struct member *member, struct job *job);

/* What Redis says to the entry just kept: read when the client has its answer. */
void crew_settle(struct member *member);

/* Rings the queue's bell for the jobs filed whose clients have their answers now. */
void crew_ring(struct member *member);

/* Fills and answers the job, and sees to its refresh and its end. */
void crew_answer(struct member *member, struct job *job);

/* Answers at once what can be, and hands everything else to who has the time. */
void crew_dispatch(struct member *member, struct job *job);

/*
 * Has requests that have been read counted against their limits, in one round trip, and goes on
 * with them until they are ready for crew_seek. At most LISTENER_BATCH.
 */
void crew_admit(struct member *member, struct job *const *jobs, size_t count);

/*
 * Finds answers for requests that have been read: parks those whose entry is sought already, asks
 * the cache for the others in one round trip, and dispatches them. At most LISTENER_BATCH.
 */
void crew_seek(struct member *member, struct job **jobs, size_t count);

/*
 * Looks at the queue's jobs that requests ask for, in one round trip, and parks those that wait.
 * Returns how many of the requests, now first in `jobs`, are still the caller's. At most
 * LISTENER_BATCH. `filed`: only those whose requests have filed them just now.
 */
size_t crew_watch(struct member *member, struct job **jobs, size_t count, bool filed);

/* The same without parking: for jobs that lead already. */
void crew_look(struct member *member, struct job **jobs, size_t count);

/* The threads; the argument is a struct member. */
void *front_run(void *member);
void *hand_run(void *member);
void *usher_run(void *member);

#endif
