#include "work/jobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "work/jobs_keeper.h"
#include "work/jobs_worker.h"

/* What runs when the end is asked for may go on for so long: µs. */
#define GRACE (5 * INT64_C(1000000))

/* … and stopping it, and telling Redis, may take so long. */
#define GRACE_STOPPED (2 * INT64_C(1000000))

bool jobs_pause(struct jobs *jobs, int64_t time, enum jobs_end until)
{
    int64_t end = clock_monotonic() + time;
    pthread_mutex_lock(&jobs->lock);
    while (atomic_load(&jobs->end) < until && clock_monotonic() < end)
        clock_condition_wait(&jobs->woken, &jobs->lock, end);
    pthread_mutex_unlock(&jobs->lock);
    return atomic_load(&jobs->end) < until;
}

void jobs_tell(struct jobs *jobs, bool *failing, bool fails, const char *what, const char *why)
{
    pthread_mutex_lock(&jobs->lock);
    bool was = *failing;
    *failing = fails;
    pthread_mutex_unlock(&jobs->lock);
    if (fails && !was)
        log_event(LOG_WARNING, "jobs", "%s: jobs wait: %s", what, why);
    else if (!fails && was)
        log_event(LOG_INFO, "jobs", "%s: jobs are done again", what);
}

/*
 * Of several callers one may fail each time while others don't (a right that is missing): it is
 * over when none has failed for so long, µs; more than a failed one waits for its next try.
 */
#define QUEUE_WELL (5 * INT64_C(1000000))

void jobs_tell_queue(struct jobs *jobs, bool fails, const char *why)
{
    int64_t now = clock_monotonic();
    if (fails)
        atomic_store(&jobs->queue_failed, now);
    if (fails || now - atomic_load(&jobs->queue_failed) > QUEUE_WELL)
        jobs_tell(jobs, &jobs->redis_away, fails, "LARDER_QUEUE", why);
}

/* Of no other worker anywhere, now or later. */
static void name_make(size_t number, char ret_name[static QUEUE_WORKER_SIZE])
{
    char host[24] = "";
    uint64_t chance = (uint64_t)clock_wall();
    (void)!gethostname(host, sizeof host - 1);
    (void)!getrandom(&chance, sizeof chance, 0);
    snprintf(ret_name, QUEUE_WORKER_SIZE, "%s:%d:%016" PRIx64 ":%zu", host, (int)getpid(), chance,
             number);
}

static bool worker_begin(struct jobs *jobs, struct jobs_worker *worker, size_t number)
{
    worker->jobs = jobs;
    worker->size = 1;
    pthread_mutex_init(&worker->lock, NULL);
    name_make(number, worker->name);
    worker->redis = queue_connection(jobs->settings.queue);
    worker->responses = striker_connection(jobs->settings.striker);
    worker->stop = db_stop_new();
    worker->desk = calloc(1, sizeof *worker->desk);
    worker->begun = calloc(1, sizeof *worker->begun);
    worker->tasks = calloc(QUEUE_TAKE_MAX, sizeof *worker->tasks);
    if (worker->desk)
        worker->desk->arena = arena_new();
    return worker->redis && worker->responses && worker->stop && worker->desk &&
           worker->desk->arena && worker->begun && worker->tasks;
}

static void worker_free(struct jobs_worker *worker)
{
    if (worker->desk)
        arena_free(worker->desk->arena);
    free(worker->desk);
    free(worker->begun);
    free(worker->tasks);
    db_stop_free(worker->stop);
    redis_connection_free(worker->redis);
    redis_connection_free(worker->responses);
    pthread_mutex_destroy(&worker->lock);
}

static void jobs_free(struct jobs *jobs)
{
    for (size_t i = 0; i < jobs->worker_count; i++)
        worker_free(&jobs->workers[i]);
    free(jobs->workers);
    queue_taker_free(jobs->taker);
    pthread_cond_destroy(&jobs->woken);
    pthread_cond_destroy(&jobs->rung);
    pthread_mutex_destroy(&jobs->lock);
    free(jobs);
}

static void locks_init(struct jobs *jobs)
{
    clock_condition_init(&jobs->woken);
    pthread_cond_init(&jobs->rung, NULL);
    pthread_mutex_init(&jobs->lock, NULL);
}

static struct jobs *jobs_new(const struct jobs_settings *settings, size_t count)
{
    struct jobs *jobs = calloc(1, sizeof *jobs);
    if (!jobs)
        return NULL;
    jobs->settings = *settings;
    locks_init(jobs);
    jobs->taker =
        queue_taker_new(settings->queue, options_number(settings->options, OPTION_JOB_TTL),
                        options_number(settings->options, OPTION_DEAD_TTL));
    jobs->workers = calloc(count, sizeof *jobs->workers);
    bool made = jobs->taker && jobs->workers;
    for (size_t i = 0; made && i < count; i++) {
        jobs->worker_count++;
        made = worker_begin(jobs, &jobs->workers[i], i);
    }
    if (made)
        return jobs;
    jobs_free(jobs);
    return NULL;
}

static bool threads_start(struct jobs *jobs, struct error *error)
{
    static const struct thread_kind worker = {.name = "jobs", .run = jobs_worker_run};
    static const struct thread_kind keeper = {.name = "jobs-keeper", .run = jobs_keeper_run};
    static const struct thread_kind bell = {.name = "jobs-bell", .run = jobs_bell_run};
    bool started = true;
    for (size_t i = 0; started && i < jobs->worker_count; i++)
        started = thread_start(&jobs->workers[i].thread, &worker, &jobs->workers[i], error);
    return started && thread_start(&jobs->keeper, &keeper, jobs, error) &&
           thread_start(&jobs->bell, &bell, jobs, error);
}

bool jobs_start(const struct jobs_settings *settings, struct jobs **ret_jobs, struct error *error)
{
    size_t count = (size_t)options_number(settings->options, OPTION_WORKERS);
    *ret_jobs = NULL;
    if (count == 0)
        return true;
    struct jobs *jobs = jobs_new(settings, count);
    if (!jobs)
        return error_set_memory(error);
    if (threads_start(jobs, error)) {
        *ret_jobs = jobs;
        return true;
    }
    (void)!jobs_stop(jobs);
    return false;
}

static bool workers_ended(const struct jobs *jobs)
{
    for (size_t i = 0; i < jobs->worker_count; i++)
        if (jobs->workers[i].thread.started && !jobs->workers[i].ended)
            return false;
    return true;
}

static bool keeper_ended(const struct jobs *jobs)
{
    return !jobs->keeper.started || jobs->keeper_ended;
}

/* Sets the end and waits for it to be seen to, for so long. */
static bool end_to(struct jobs *jobs, enum jobs_end end, int64_t patience,
                   bool (*reached)(const struct jobs *jobs))
{
    int64_t until = clock_monotonic() + patience;
    pthread_mutex_lock(&jobs->lock);
    atomic_store(&jobs->end, end);
    pthread_cond_broadcast(&jobs->woken);
    pthread_cond_broadcast(&jobs->rung);
    while (!reached(jobs) && clock_monotonic() < until)
        clock_condition_wait(&jobs->woken, &jobs->lock, until);
    bool done = reached(jobs);
    pthread_mutex_unlock(&jobs->lock);
    return done;
}

bool jobs_stop(struct jobs *jobs)
{
    if (!jobs)
        return true;
    bool ended = end_to(jobs, JOBS_ENDING, GRACE, workers_ended) ||
                 end_to(jobs, JOBS_ABANDON, GRACE_STOPPED, workers_ended);
    if (!end_to(jobs, JOBS_OVER, GRACE_STOPPED / 2, keeper_ended) || !ended)
        return false;
    for (size_t i = 0; i < jobs->worker_count; i++)
        thread_join(&jobs->workers[i].thread);
    thread_join(&jobs->keeper);
    thread_join(&jobs->bell);
    jobs_free(jobs);
    return true;
}
