/*
 * The usher: sees to those who waited. Jobs parked behind another's fill go on here when it has
 * ended, and jobs that wait for another process' fill look again from here, so that no thread
 * sleeps with a request in its hand.
 */
#include "base/clock.h"
#include "serve/crew.h"

/* When the usher looks up though nobody rang: µs. */
#define NAP INT64_C(1000000)

/* The earliest time of a queued job, or the end of a nap. */
static int64_t next_time(const struct crew *crew, int64_t now)
{
    int64_t next = now + NAP;
    for (const struct job *job = crew->queued.first; job; job = job_next(job)) {
        int64_t due = job_exchange_const(job)->wait_next;
        next = due < next ? due : next;
    }
    return next;
}

static size_t take_woken(struct crew *crew, struct job **jobs)
{
    size_t count = 0;
    while (count < LISTENER_BATCH && crew->woken.first)
        jobs[count++] = job_list_take(&crew->woken);
    return count;
}

/* Goes through the queue once: those whose time has come are taken, as many as fit. */
static size_t take_due(struct crew *crew, int64_t now, struct job **jobs)
{
    size_t count = 0;
    for (size_t left = crew->queued.count; left; left--) {
        struct job *job = job_list_take(&crew->queued);
        if (count < LISTENER_BATCH && job_exchange(job)->wait_next <= now)
            jobs[count++] = job;
        else
            job_list_append(&crew->queued, job);
    }
    return count;
}

/* Waits until there is something to do; false: never again. */
static bool wait_for_work(struct member *member, struct job **woken, size_t *ret_woken,
                          struct job **due, size_t *ret_due)
{
    struct crew *crew = member->crew;
    pthread_mutex_lock(&crew->lock);
    for (;;) {
        int64_t now = clock_monotonic();
        int64_t next = next_time(crew, now);
        if (crew->woken.first || next <= now || crew->closed) {
            *ret_woken = take_woken(crew, woken);
            *ret_due = take_due(crew, now, due);
            break;
        }
        crew_give_way(member);
        clock_condition_wait(&crew->rung, &crew->lock, next);
    }
    bool more = *ret_woken || *ret_due || !crew->closed;
    pthread_mutex_unlock(&crew->lock);
    return more;
}

void *usher_run(void *argument)
{
    struct member *member = argument;
    struct job *woken[LISTENER_BATCH], *due[LISTENER_BATCH];
    size_t woken_count, due_count;
    while (wait_for_work(member, woken, &woken_count, due, &due_count)) {
        crew_seek(member, woken, woken_count);
        crew_look(member, due, due_count);
        crew_ring(member);
    }
    return NULL;
}
