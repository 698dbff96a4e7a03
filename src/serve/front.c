/*
 * Fronts: they take the requests.
 */
#include <unistd.h>

#include "base/clock.h"
#include "queue/bell.h"
#include "serve/crew.h"
#include "serve/steps.h"

/* Reads one request; the silences of a batch together are forgiven as long as one alone. */
static bool job_begin_by(struct member *member, struct job *job, int connection, int64_t deadline)
{
    int64_t left = deadline - clock_monotonic();
    bool hurried = left < LISTENER_SILENCE * 9 / 10;
    if (hurried)
        listener_forgive(connection, left);
    if (!job_begin(job, connection, &member->tools))
        return false;
    if (hurried)
        listener_forgive(connection, LISTENER_SILENCE);
    return true;
}

static size_t jobs_begin(struct member *member, const int *connections, size_t count,
                         struct job **jobs)
{
    int64_t deadline = clock_monotonic() + LISTENER_SILENCE;
    size_t begun = 0;
    for (size_t i = 0; i < count; i++) {
        struct job *job = crew_take(member->crew);
        if (!job)
            close(connections[i]);
        else if (job_begin_by(member, job, connections[i], deadline))
            jobs[begun++] = job;
        else
            crew_give_back(member->crew, job);
    }
    return begun;
}

static void batch_serve(struct member *member, const int *connections, size_t count, bool whole)
{
    struct job *jobs[LISTENER_BATCH];
    size_t begun = jobs_begin(member, connections, count, jobs);
    for (size_t i = 0; i < begun; i++) {
        job_exchange(jobs[i])->whole = whole;
        steps_walk(job_exchange(jobs[i]), PART_READ);
    }
    crew_admit(member, jobs, begun);
    crew_seek(member, jobs, begun);
}

/* Moves the requests that have wholly arrived to the front, so that none waits behind a silent one.
 */
static size_t whole_first(int *connections, size_t count)
{
    size_t whole = 0;
    for (size_t i = 0; i < count; i++) {
        int connection = connections[i];
        if (!listener_request_whole(connection))
            continue;
        connections[i] = connections[whole];
        connections[whole++] = connection;
    }
    return whole;
}

static bool busy(void *argument)
{
    return crew_busy(argument);
}

static void relieve(void *argument)
{
    crew_relieve(argument);
}

/* A wait for Redis that is none: what it takes while it is well, µs. */
#define WAIT_LEAST INT64_C(1000)

void crew_waited(struct member *member, int64_t waited)
{
    member->redis_waited += waited;
    if (waited < WAIT_LEAST)
        return;
    bool others = listener_is_ready(member->crew->listener);
    member->holds_up = others ? member->redis_waited - member->held_up : 0;
}

/*
 * What was there when a batch had waited for Redis may have been so for as long: that is a part of
 * what it may wait itself, and may be still until nothing is there or as long a time is over again.
 */
static bool batch_next(struct member *member, const struct listener_relief *relief,
                       int connections[static LISTENER_BATCH], size_t *ret_count)
{
    struct listener *listener = member->crew->listener;
    if (member->held_up &&
        (clock_monotonic() > member->held_up_until || !listener_is_ready(listener)))
        member->held_up = 0;
    member->redis_waited = member->held_up;
    return listener_next(listener, relief, member->filed_first ? QUEUE_BELL_QUIET : -1, connections,
                         ret_count);
}

static void batch_end(struct member *member)
{
    if (member->redis_waited - member->held_up < WAIT_LEAST)
        return;
    member->held_up = member->holds_up;
    member->held_up_until = clock_monotonic() + member->held_up;
    member->holds_up = 0;
}

/*
 * Those that filed jobs have their answers on their way by now, through processors that others need
 * as well: so the bell is rung when nothing more has come for a while, or as long after the first.
 */
static void ring_when_quiet(struct member *member, bool quiet)
{
    if (quiet || clock_monotonic() - member->filed_first >= QUEUE_BELL_QUIET)
        crew_ring(member);
}

void *front_run(void *argument)
{
    struct member *member = argument;
    const struct listener_relief relief = {.busy = busy, .run = relieve, .context = member};
    int connections[LISTENER_BATCH];
    size_t count;
    while (batch_next(member, &relief, connections, &count)) {
        size_t whole = whole_first(connections, count);
        member->lone = count == 1;
        batch_serve(member, connections, whole, true);
        if (whole < count)
            crew_ring(member); /* their heads may be waited for */
        batch_serve(member, connections + whole, count - whole, false);
        batch_end(member);
        ring_when_quiet(member, count == 0);
    }
    crew_ring(member);
    return NULL;
}
