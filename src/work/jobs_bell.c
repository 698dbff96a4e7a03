/*
 * What wakes workers that have nothing to do: the queue's bell, and the clock. Not every ring
 * comes, and not all that is filed is rung for: so one of them looks ever so often without one.
 */
#include "queue/bell.h"

#include "base/clock.h"
#include "base/log.h"
#include "work/jobs_worker.h"

/* How long a job may wait that nobody has rung for: µs. */
#define LOOK_PAUSE INT64_C(50000)

/* A line silent for so long is asked whether it is one: µs. */
#define SILENCE (5 * INT64_C(1000000))

/* Between attempts to subscribe, and what one may take: µs. */
#define PAUSE INT64_C(500000)
#define PATIENCE INT64_C(500000)

struct bell {
    struct jobs *jobs;
    struct redis_subscription *line;
    bool heard;      /* the line is there */
    bool told;       /* the log says that it is not */
    int64_t attempt; /* monotonic µs: the next */
    int64_t looked;  /* the last look that was rung for */
};

void jobs_ring(struct jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    jobs->rings++;
    pthread_mutex_unlock(&jobs->lock);
    pthread_cond_signal(&jobs->rung);
}

uint64_t jobs_rings(struct jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    uint64_t rings = jobs->rings;
    pthread_mutex_unlock(&jobs->lock);
    return rings;
}

void jobs_await(struct jobs *jobs, uint64_t rings)
{
    pthread_mutex_lock(&jobs->lock);
    while (jobs->rings == rings && atomic_load(&jobs->end) == JOBS_GO_ON)
        pthread_cond_wait(&jobs->rung, &jobs->lock);
    pthread_mutex_unlock(&jobs->lock);
}

static void tell(struct bell *bell, const char *why)
{
    if (!bell->heard && !bell->told)
        log_event(LOG_INFO, "jobs", "new jobs are found at the next look, not at once: %s", why);
    else if (bell->heard && bell->told)
        log_event(LOG_INFO, "jobs", "new jobs are found at once again");
    bell->told = !bell->heard;
}

static void subscribe(struct bell *bell)
{
    struct error error = {0};
    int64_t now = clock_monotonic();
    if (now < bell->attempt)
        return;
    bell->heard = queue_bell_listen(bell->jobs->settings.queue, bell->line, now + PATIENCE, &error);
    bell->attempt = clock_monotonic() + PAUSE;
    tell(bell, error.text);
}

static bool hear(struct bell *bell, int64_t deadline, bool *ret_rung, bool *ret_awaited)
{
    struct error error;
    bell->heard = queue_bell_hear(bell->line, deadline, ret_rung, ret_awaited, &error);
    return bell->heard;
}

/*
 * Until the next ring, or look. What has rung by now is the same look's; whom a client waits for is
 * looked for at once, the others once it is quiet after the last look.
 */
static void listen(struct bell *bell)
{
    bool rung, awaited, quiet = false;
    int64_t deadline = clock_monotonic() + LOOK_PAUSE;
    while (hear(bell, deadline, &rung, &awaited) && rung) {
        quiet = quiet || !awaited;
        if (awaited)
            jobs_ring(bell->jobs);
        deadline = 0;
    }
    if (!quiet)
        return;
    (void)jobs_pause(bell->jobs, bell->looked + QUEUE_BELL_QUIET - clock_monotonic(), JOBS_ENDING);
    bell->looked = clock_monotonic();
}

void *jobs_bell_run(void *argument)
{
    struct jobs *jobs = argument;
    struct bell bell = {.jobs = jobs, .line = queue_subscription(jobs->settings.queue, SILENCE)};
    while (atomic_load(&jobs->end) == JOBS_GO_ON) {
        if (bell.line && !bell.heard && queue_is_found(jobs->settings.queue))
            subscribe(&bell);
        if (bell.heard)
            listen(&bell);
        else
            (void)jobs_pause(jobs, LOOK_PAUSE, JOBS_ENDING);
        jobs_ring(jobs);
    }
    redis_subscription_free(bell.line);
    return NULL;
}
