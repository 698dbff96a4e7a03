#include "work/jobs_keeper.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "work/jobs_worker.h"
#include "work/queue_settings.h"

/* Between two rounds: µs. A job that runs is cancelled within a second. */
#define ROUND INT64_C(200000)

/* What has been in hand for longer is looked at: how far it is, and whether it is cancelled. µs. */
#define CANCEL_AFTER INT64_C(100000)

/* How often what a worker has in hand is kept: µs. */
#define KEEP_PAUSE (QUEUE_CLAIM_AFTER / 5)

struct keeper {
    struct jobs *jobs;
    struct redis_connection *redis;
    unsigned connects; /* of the connection, when the settings were looked at */
    int64_t keep_next; /* monotonic µs */
};

struct hand {
    struct queue_place places[QUEUE_TAKE_MAX];
    size_t made[QUEUE_TAKE_MAX];
    bool cancelled[QUEUE_TAKE_MAX];
    size_t count;
    int64_t since;
};

static void hand_copy(struct jobs_worker *worker, struct hand *ret_hand)
{
    pthread_mutex_lock(&worker->lock);
    ret_hand->count = worker->held_count;
    ret_hand->since = worker->held_since;
    memcpy(ret_hand->places, worker->held, sizeof worker->held);
    for (size_t i = 0; i < worker->held_count; i++)
        ret_hand->made[i] = atomic_load(&worker->made[i]);
    pthread_mutex_unlock(&worker->lock);
}

/* Those it still has. True: one of them may run. */
static bool hand_mark(struct jobs_worker *worker, const struct hand *hand)
{
    bool any = false;
    pthread_mutex_lock(&worker->lock);
    for (size_t i = 0; i < hand->count; i++)
        for (size_t j = 0; hand->cancelled[i] && j < worker->held_count; j++)
            if (!worker->known[j] && strcmp(worker->held[j].entry, hand->places[i].entry) == 0)
                any = worker->cancelled[j] = true;
    pthread_mutex_unlock(&worker->lock);
    return any;
}

static int64_t patience(void)
{
    return clock_monotonic() + JOBS_REDIS_PATIENCE;
}

static bool see_to(struct keeper *keeper, struct jobs_worker *worker, bool keep,
                   struct error *error)
{
    struct jobs *jobs = keeper->jobs;
    struct hand hand;
    hand_copy(worker, &hand);
    if (hand.count == 0)
        return true;
    if (keep && !queue_keep(jobs->taker, keeper->redis, worker->name, hand.places, hand.count,
                            patience(), error))
        return false;
    if (clock_monotonic() - hand.since < CANCEL_AFTER)
        return true;
    if (!queue_progress(jobs->taker, keeper->redis, hand.places, hand.made, hand.count, patience(),
                        hand.cancelled, error))
        return false;
    if (hand_mark(worker, &hand))
        db_stop_fire(worker->stop);
    return true;
}

static void measure(const struct jobs *jobs, const struct queue_sizes *sizes)
{
    struct counters *counters = jobs->settings.counters;
    int64_t waiting = sizes->jobs - sizes->running;
    counters_set(counters, COUNTER_JOBS_WAITING, waiting > 0 ? waiting : 0);
    counters_set(counters, COUNTER_JOBS_RUNNING, sizes->running);
    counters_set(counters, COUNTER_JOBS_LATER, sizes->later);
    counters_set(counters, COUNTER_JOBS_DEAD, sizes->dead);
}

static bool round_run(struct keeper *keeper, struct error *error)
{
    struct jobs *jobs = keeper->jobs;
    struct queue_sizes sizes;
    int64_t now = clock_monotonic();
    bool keep = now >= keeper->keep_next;
    striker_resolve(jobs->settings.striker);
    if (!queue_resolve(jobs->settings.queue, now, error) ||
        !queue_tend(jobs->taker, keeper->redis, patience(), &sizes, error))
        return false;
    measure(jobs, &sizes);
    for (size_t i = 0; i < jobs->worker_count; i++)
        if (!see_to(keeper, &jobs->workers[i], keep, error))
            return false;
    if (keep)
        keeper->keep_next = now + KEEP_PAUSE;
    return queue_settings_tell(jobs->settings.queue, jobs->settings.options, keeper->redis,
                               &keeper->connects, patience(), error);
}

static void abandon(struct jobs *jobs)
{
    for (size_t i = 0; i < jobs->worker_count; i++)
        db_stop_fire(jobs->workers[i].stop);
}

void *jobs_keeper_run(void *argument)
{
    struct jobs *jobs = argument;
    struct keeper keeper = {.jobs = jobs, .redis = queue_connection(jobs->settings.queue)};
    struct backoff backoff = {0};
    struct error error;
    while (keeper.redis && atomic_load(&jobs->end) != JOBS_OVER) {
        bool done = round_run(&keeper, &error);
        jobs_tell_queue(jobs, !done, error.text);
        if (atomic_load(&jobs->end) == JOBS_ABANDON)
            abandon(jobs);
        if (done)
            backoff_succeeded(&backoff);
        (void)jobs_pause(jobs, done ? ROUND : backoff_failed(&backoff, (uint32_t)random()),
                         JOBS_OVER);
    }
    redis_connection_free(keeper.redis);
    pthread_mutex_lock(&jobs->lock);
    jobs->keeper_ended = true;
    pthread_cond_broadcast(&jobs->woken);
    pthread_mutex_unlock(&jobs->lock);
    return NULL;
}
