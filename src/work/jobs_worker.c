#include "work/jobs_worker.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* How often one of the workers looks for what dead peers have: µs. */
#define CLAIM_PAUSE INT64_C(1000000)

/* How often it looks whether the routes have been loaded: µs. */
#define BEGINNING_PAUSE INT64_C(5000)

/* A worker takes so many jobs that they need about this long: µs. */
#define HAND_TIME INT64_C(100000)

static void hold(struct jobs_worker *worker, const struct queue_place *places, size_t count)
{
    pthread_mutex_lock(&worker->lock);
    if (count)
        memcpy(worker->held, places, count * sizeof *places);
    memset(worker->cancelled, 0, sizeof worker->cancelled);
    memset(worker->known, 0, sizeof worker->known);
    for (size_t i = 0; i < count; i++)
        atomic_store(&worker->made[i], 0);
    worker->held_count = count;
    worker->held_since = clock_monotonic();
    pthread_mutex_unlock(&worker->lock);
}

bool jobs_worker_cancelled(struct jobs_worker *worker, const char *id)
{
    bool cancelled = false;
    pthread_mutex_lock(&worker->lock);
    for (size_t i = 0; i < worker->held_count; i++)
        if (strcmp(worker->held[i].id, id) == 0)
            cancelled = cancelled || worker->cancelled[i];
    pthread_mutex_unlock(&worker->lock);
    return cancelled;
}

/* One worker at a time looks, so that the dead's jobs are spread over a few looks. */
static bool claims_now(struct jobs *jobs)
{
    int64_t now = clock_monotonic();
    int64_t next = atomic_load(&jobs->claim_next);
    return now >= next &&
           atomic_compare_exchange_strong(&jobs->claim_next, &next, now + CLAIM_PAUSE);
}

static bool take(struct jobs_worker *worker, enum queue_from from,
                 struct queue_place places[static QUEUE_TAKE_MAX], size_t *ret_count,
                 struct error *error)
{
    return queue_take(worker->jobs->taker, worker->redis, worker->name, from, worker->size,
                      clock_monotonic() + JOBS_REDIS_PATIENCE, places, ret_count, error);
}

/* Takes more when that was quick, fewer when not. */
static void size_adapt(struct jobs_worker *worker, size_t count, int64_t time)
{
    int64_t each = time / (int64_t)count + 1;
    size_t fit = (size_t)(HAND_TIME / each) + 1;
    size_t most = count == worker->size ? 2 * worker->size : worker->size;
    most = most < QUEUE_TAKE_MAX ? most : QUEUE_TAKE_MAX;
    worker->size = fit < most ? fit : most;
}

/* Of what was begun some is to be cancelled already. */
static void hand_cancel(struct jobs_worker *worker)
{
    const struct queue_begun *begun = worker->begun;
    pthread_mutex_lock(&worker->lock);
    for (size_t i = 0; i < begun->count; i++)
        if (begun->tasks[i].cancelled)
            worker->cancelled[i] = worker->known[i] = true;
    pthread_mutex_unlock(&worker->lock);
}

static bool work(struct jobs_worker *worker, const struct queue_place *places, size_t count,
                 struct error *error)
{
    struct jobs *jobs = worker->jobs;
    hold(worker, places, count);
    bool begun = queue_begin(jobs->taker, worker->redis, places, count,
                             clock_monotonic() + JOBS_REDIS_PATIENCE, worker->begun, error);
    if (begun) {
        hand_cancel(worker);
        size_adapt(worker, count, jobs_batch_run(worker));
        redis_reply_free(worker->begun->reply);
    }
    hold(worker, NULL, 0);
    return begun;
}

/* One look at one source of jobs; *ret_none: there are no new ones. False: Redis is away. */
static bool look(struct jobs_worker *worker, bool *ret_none, struct error *error)
{
    struct queue_place places[QUEUE_TAKE_MAX];
    enum queue_from from = worker->unsure             ? QUEUE_FROM_OWN
                           : claims_now(worker->jobs) ? QUEUE_FROM_DEAD
                                                      : QUEUE_FROM_NEW;
    size_t count;
    if (!take(worker, from, places, &count, error))
        return false;
    if (from == QUEUE_FROM_OWN && count == 0)
        worker->unsure = false;
    if (from == QUEUE_FROM_DEAD)
        counters_add(worker->jobs->settings.counters, COUNTER_JOBS_CLAIMED, (int64_t)count);
    if (count == worker->size) /* there may be more, which need not wait for these */
        jobs_ring(worker->jobs);
    *ret_none = from == QUEUE_FROM_NEW && count == 0;
    return count == 0 || work(worker, places, count, error);
}

/*
 * A job that is taken before the routes are known would be put back, and wait; that the queue's
 * host is not found is the keeper's to tell, who looks it up.
 */
static void beginning_await(struct jobs *jobs)
{
    while (!(routes_tried(jobs->settings.routes) && queue_is_found(jobs->settings.queue)) &&
           jobs_pause(jobs, BEGINNING_PAUSE, JOBS_ENDING))
        ;
}

void *jobs_worker_run(void *argument)
{
    struct jobs_worker *worker = argument;
    struct jobs *jobs = worker->jobs;
    struct backoff backoff = {0};
    struct error error;
    beginning_await(jobs);
    while (atomic_load(&jobs->end) == JOBS_GO_ON) {
        uint64_t rings = jobs_rings(jobs);
        bool none = false, looked = look(worker, &none, &error);
        jobs_tell_queue(jobs, !looked, error.text);
        if (looked) {
            backoff_succeeded(&backoff);
            if (none)
                jobs_await(jobs, rings);
            continue;
        }
        worker->unsure = true;
        (void)jobs_pause(jobs, backoff_failed(&backoff, (uint32_t)random()), JOBS_ENDING);
    }
    queue_leave(jobs->taker, worker->redis, worker->name, clock_monotonic() + JOBS_REDIS_PATIENCE);
    pthread_mutex_lock(&jobs->lock);
    worker->ended = true;
    pthread_cond_broadcast(&jobs->woken);
    pthread_mutex_unlock(&jobs->lock);
    return NULL;
}
