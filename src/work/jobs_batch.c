/*
 * What a worker has taken: made into statements, run in as few transactions as may be, and ended.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "work/jobs_group.h"
#include "work/split.h"

/* A worker that did not end a job had perhaps ended by it: then it is run alone, or given up. */
#define DEATHS_ALONE 2
#define DEATHS_MOST 10

/* How long until a job is tried again: µs; doubled by each try, up to the most. */
#define AGAIN_LEAST INT64_C(1000000)
#define AGAIN_MOST (300 * INT64_C(1000000))

/* One that can't be made yet is looked at again after this: µs. */
#define NOT_YET INT64_C(1000000)

/* Transactions are made of as many jobs as take about this long: µs. */
#define CHUNK_TIME INT64_C(100000)
#define CHUNK_UNKNOWN 5

/* What is left after this long goes back, so that idle workers may have it: µs. */
#define HAND_TIME INT64_C(1000000)

struct batch {
    struct jobs_worker *worker;
    struct live *live;
    struct jobs_task *ready[QUEUE_TAKE_MAX]; /* by route and values, so that locks have one order */
    size_t ready_count;
    struct queue_end ends[QUEUE_TAKE_MAX + 1]; /* one for each; the last is for what is too many */
    size_t end_count;
    int64_t cost; /* µs of a job, as the last transaction had it; 0: not known */
};

/* Ends */

/* A job that is left out for want of room is found again, as that of a worker that died. */
static struct queue_end *end_add(struct batch *batch, const struct queue_task *task,
                                 enum queue_state state)
{
    struct queue_end *end = &batch->ends[batch->end_count];
    if (batch->end_count < QUEUE_TAKE_MAX)
        batch->end_count++;
    else
        log_event(LOG_ERROR, "jobs", "%.*s: job %s is one end too many", SPAN_PRINTF(task->route),
                  task->place.id);
    *end = (struct queue_end){.place = task->place, .state = state};
    return end;
}

/* Of a route that is none any more; null: memory. */
static struct route_counters *row_of(const struct batch *batch, struct span route)
{
    const char *name = arena_text(batch->worker->desk->arena, route);
    return name ? counters_route(batch->worker->jobs->settings.counters, name) : NULL;
}

/* Beside the counter of all routes, the route's own. */
static void count_end(const struct batch *batch, const struct jobs_task *task,
                      enum counter_job what)
{
    static const enum counter all[] = {[COUNTER_JOB_DONE] = COUNTER_JOBS_DONE,
                                       [COUNTER_JOB_FAILED] = COUNTER_JOBS_FAILED,
                                       [COUNTER_JOB_CANCELLED] = COUNTER_JOBS_CANCELLED,
                                       [COUNTER_JOB_AGAIN] = COUNTER_JOBS_TRIED_AGAIN};
    struct counters *counters = batch->worker->jobs->settings.counters;
    const struct served *served = task->later.exchange.served;
    struct route_counters *row = served ? served->counters : row_of(batch, task->filed->route);
    counters_add(counters, all[what], 1);
    if (row)
        counters_job(row, what, clock_wall() - task->filed->filed);
}

static void give_back(struct batch *batch, const struct queue_task *task, int64_t delay)
{
    struct queue_end *end = end_add(batch, task, QUEUE_QUEUED);
    end->delay = delay;
    end->uncounted = true;
}

/* With the answer that the exchange is settled with. */
static void end_answered(struct batch *batch, struct jobs_task *task, enum queue_state state)
{
    const struct exchange *exchange = &task->later.exchange;
    struct queue_end *end = end_add(batch, task->filed, state);
    end->status = exchange->status;
    end->type = exchange->settled_type;
    end->location = later_location(&task->later);
    end->body = exchange->settled_body;
    end->why = task->why;
}

static void give_up(struct batch *batch, struct jobs_task *task)
{
    end_answered(batch, task, QUEUE_FAILED);
    count_end(batch, task, COUNTER_JOB_FAILED);
    log_event(LOG_ERROR, "jobs", "%.*s: job %s failed for good, at try %lld, with %u",
              SPAN_PRINTF(task->filed->route), task->filed->place.id, (long long)task->filed->tries,
              task->later.exchange.status);
}

/* From half of the delay to all of it, so that what failed together does not come back so. */
static int64_t again_after(int64_t tries)
{
    int64_t delay = AGAIN_LEAST;
    for (int64_t i = 1; i < tries && delay < AGAIN_MOST; i++)
        delay *= 2;
    delay = delay < AGAIN_MOST ? delay : AGAIN_MOST;
    return delay / 2 + random() % (delay / 2);
}

static void task_failed(struct batch *batch, struct jobs_task *task, bool may_pass)
{
    const struct queue_task *filed = task->filed;
    if (!may_pass || filed->tries > filed->retries) {
        give_up(batch, task);
        return;
    }
    struct queue_end *end = end_add(batch, filed, QUEUE_QUEUED);
    end->delay = again_after(filed->tries);
    end->why = task->why;
    count_end(batch, task, COUNTER_JOB_AGAIN);
}

/* Tells Redis; what it could not be told stays to be told. */
static bool ends_tell(struct batch *batch)
{
    struct jobs_worker *worker = batch->worker;
    struct jobs *jobs = worker->jobs;
    struct error error;
    if (batch->end_count == 0)
        return true;
    bool told = queue_end(jobs->taker, worker->redis, batch->ends, batch->end_count,
                          clock_monotonic() + JOBS_REDIS_PATIENCE, &error);
    jobs_tell_queue(jobs, !told, error.text);
    if (told)
        batch->end_count = 0;
    return told;
}

/* Until Redis knows; else another worker finds in PostgreSQL what was done. */
static void ends_tell_surely(struct batch *batch)
{
    struct backoff backoff = {0};
    while (
        !ends_tell(batch) &&
        jobs_pause(batch->worker->jobs, backoff_failed(&backoff, (uint32_t)random()), JOBS_ENDING))
        ;
}

/* From what was filed to statements */

static void refuse(const struct batch *batch, struct jobs_task *task, const char *why)
{
    task->later.exchange.desk = batch->worker->desk;
    exchange_problem(&task->later.exchange, 500, why);
}

/* By the routes as they are here: its responder may have newer ones, and so may another larderd. */
static void unfit(struct batch *batch, struct jobs_task *task, const char *why)
{
    refuse(batch, task, why);
    task->why = arena_span(batch->worker->desk->arena, span_of(why));
    log_event(LOG_WARNING, "jobs", "job %s: %s", task->filed->place.id, why);
    task_failed(batch, task, true);
}

static void task_make(struct batch *batch, struct jobs_task *task, const struct queue_task *filed)
{
    const struct later_filed text = {.route = filed->route,
                                     .document = filed->document,
                                     .signed_in = filed->owner.size > 0,
                                     .timeout = filed->timeout};
    struct error error;
    *task = (struct jobs_task){.filed = filed};
    if (filed->deaths >= DEATHS_MOST) {
        refuse(batch, task, "The workers that had the job did not come to its end.");
        give_up(batch, task);
        return;
    }
    if (later_make(batch->live, batch->worker->desk, &text, &task->later, &error))
        batch->ready[batch->ready_count++] = task;
    else if (error.kind == ERROR_INVALID)
        unfit(batch, task, error.text);
    else
        give_back(batch, filed, NOT_YET);
}

static int span_compare(struct span one, struct span other)
{
    size_t size = one.size < other.size ? one.size : other.size;
    int order = size ? memcmp(one.data, other.data, size) : 0;
    return order ? order : (one.size > other.size) - (one.size < other.size);
}

static int task_compare(const void *left, const void *right)
{
    const struct queue_task *one = (*(struct jobs_task *const *)left)->filed;
    const struct queue_task *other = (*(struct jobs_task *const *)right)->filed;
    int order = span_compare(one->route, other->route);
    if (!order)
        order = span_compare(one->document, other->document);
    return order ? order : strcmp(one->place.entry, other->place.entry);
}

static void tasks_make(struct batch *batch)
{
    const struct queue_begun *begun = batch->worker->begun;
    for (size_t i = 0; i < begun->count; i++) {
        const struct queue_task *filed = &begun->tasks[i];
        if (filed->wanted && batch->live)
            task_make(batch, &batch->worker->tasks[i], filed);
        else if (filed->wanted)
            give_back(batch, filed, NOT_YET);
    }
    qsort(batch->ready, batch->ready_count, sizeof(struct jobs_task *), task_compare);
}

/* The transaction committed, or there was nothing to do in it. */
static void group_end(struct batch *batch, const struct jobs_group *group)
{
    for (size_t i = 0; i < group->count; i++) {
        struct jobs_task *task = group->tasks[i];
        bool cancelled = !task->record.data;
        struct queue_end *end =
            end_add(batch, task->filed, cancelled ? QUEUE_CANCELLED : QUEUE_DONE);
        count_end(batch, task, cancelled ? COUNTER_JOB_CANCELLED : COUNTER_JOB_DONE);
        if (!cancelled && !jobs_record_read(task->record, end))
            log_event(LOG_ERROR, "jobs", "%.*s: what is recorded of job %s can't be read",
                      SPAN_PRINTF(task->filed->route), task->filed->place.id);
    }
}

/* Failures that are nobody's: the same jobs may go well once PostgreSQL is well. */
static bool is_outage(const struct db_failure *failure)
{
    switch (failure->kind) {
    case DB_FAILURE_UNAVAILABLE:
    case DB_FAILURE_BUSY:
    case DB_FAILURE_UNKNOWN:
    case DB_FAILURE_UNINSTALLED:
    case DB_FAILURE_READ_ONLY:
    case DB_FAILURE_MEMORY:
        return true;
    case DB_FAILURE_TIMEOUT:
        return !failure->sqlstate[0]; /* the server did not even say so */
    default:
        return false;
    }
}

/* It was said of one of them, and may be true of this one alone. */
static bool is_of_one(const struct jobs_group *group, size_t failed,
                      const struct db_failure *failure)
{
    return failed < group->count && failure->kind != DB_FAILURE_UNKNOWN &&
           db_failure_is_servers(failure);
}

/* Also that a peer, which stands still, has one of them in work: nothing was tried then. */
static bool is_nobodys(const struct jobs_group *group, size_t failed,
                       const struct db_failure *failure)
{
    if (is_of_one(group, failed, failure))
        return false;
    return is_outage(failure) || (!group->begun && failure->kind == DB_FAILURE_TIMEOUT);
}

static const char *outage_text(const struct db_failure *failure)
{
    return failure->kind == DB_FAILURE_UNINSTALLED
               ? "the database does not keep what jobs did: run \"larder install\", with --to for "
                 "the role of larderd"
               : failure->message;
}

/* What was run was stopped for the sake of one that is to be cancelled. */
static bool was_cancelled(const struct jobs_group *group, const struct db_failure *failure)
{
    bool any = false;
    for (size_t i = 0; i < group->count; i++)
        any = any || (!group->tasks[i]->cancelled &&
                      jobs_worker_cancelled(group->worker, group->tasks[i]->filed->place.id));
    return any && failure->kind == DB_FAILURE_TIMEOUT;
}

static bool is_ended(const struct batch *batch, enum jobs_end until)
{
    return atomic_load(&batch->worker->jobs->end) >= until;
}

/*
 * It may be in trouble for all jobs, or for this one alone, which then stands in no other's way. So
 * it is where the record of jobs can't be asked, and no statement of the job was begun.
 */
static void server_failed(struct batch *batch, struct jobs_task *task,
                          const struct db_failure *failure)
{
    struct jobs *jobs = batch->worker->jobs;
    struct queue_end *end = end_add(batch, task->filed, QUEUE_QUEUED);
    end->delay = again_after(task->filed->troubles + 1);
    end->trouble = true;
    end->why = task->why;
    count_end(batch, task, COUNTER_JOB_AGAIN);
    if (quiet_over(&jobs->trouble_quiet, clock_monotonic()))
        log_event(LOG_WARNING, "jobs", "%.*s: PostgreSQL is in trouble, the job waits: %s",
                  SPAN_PRINTF(task->filed->route), failure->message);
}

/* The answer says nothing of it, since it may tell what is no client's business. */
static struct span why_of(const struct batch *batch, const struct db_failure *failure)
{
    return span_of(arena_format(batch->worker->desk->arena,
                                failure->sqlstate[0] ? "%s (SQLSTATE %s)" : "%s%s",
                                failure->message, failure->sqlstate));
}

static void alone_failed(struct batch *batch, const struct jobs_group *group,
                         const struct db_failure *failure)
{
    struct jobs_task *task = group->tasks[0];
    if (group->unfit > 0)
        task->why = why_of(batch, failure);
    if (group->unfit == 0)
        give_up(batch, task);
    else if (!group->begun || db_failure_is_servers(failure))
        server_failed(batch, task, failure);
    else
        task_failed(batch, task, later_failed(&task->later, failure));
}

/* False: the end has come, or nothing can be done now. */
static bool group_try(struct batch *batch, struct split *split, struct jobs_group *group,
                      struct backoff *backoff)
{
    struct jobs *jobs = batch->worker->jobs;
    struct db_failure failure = {0};
    size_t failed;
    bool done = jobs_group_run(group, &failed, &failure);
    bool away = !done && group->unfit == group->count && is_nobodys(group, failed, &failure);
    jobs_tell(jobs, &jobs->database_away, away, "PostgreSQL", outage_text(&failure));
    if (done) {
        group_end(batch, group);
        split_made(split);
        backoff_succeeded(backoff);
        return true;
    }
    if (is_ended(batch, JOBS_ABANDON))
        return false;
    if (away)
        return jobs_pause(jobs, backoff_failed(backoff, (uint32_t)random()), JOBS_ENDING);
    if (was_cancelled(group, &failure))
        return true;
    if (split_failed(split, failed)) {
        alone_failed(batch, group, &failure);
        split_made(split);
    }
    return true;
}

/* Some of those that are ready, in as few transactions as may be; what is left goes back. */
static void chunk_run(struct batch *batch, size_t from, size_t size)
{
    struct split split = {.count = size};
    struct backoff backoff = {0};
    struct jobs_group group = {.worker = batch->worker};
    size_t at;
    bool on = true;
    while (on && split_next(&split, &at, &group.count)) {
        group.tasks = &batch->ready[from + at];
        on = group_try(batch, &split, &group, &backoff);
    }
    for (at = split.at; at < size; at++)
        give_back(batch, batch->ready[from + at]->filed, 0);
}

static size_t chunk_size(const struct batch *batch, size_t from)
{
    size_t left = batch->ready_count - from;
    size_t most = batch->cost ? (size_t)(CHUNK_TIME / batch->cost) + 1 : CHUNK_UNKNOWN;
    size_t size = 1;
    if (batch->ready[from]->filed->deaths >= DEATHS_ALONE)
        return 1;
    while (size < left && size < most && batch->ready[from + size]->filed->deaths < DEATHS_ALONE)
        size++;
    return size;
}

static void chunks_run(struct batch *batch)
{
    int64_t begin = clock_monotonic();
    size_t at = 0;
    while (at < batch->ready_count && !is_ended(batch, JOBS_ENDING) &&
           (at == 0 || clock_monotonic() - begin < HAND_TIME)) {
        size_t size = chunk_size(batch, at);
        int64_t chunk_begin = clock_monotonic();
        chunk_run(batch, at, size);
        batch->cost = (clock_monotonic() - chunk_begin) / (int64_t)size + 1;
        at += size;
        (void)!ends_tell(batch);
        db_pool_struck_tell(batch->worker->jobs->settings.pool);
    }
    for (; at < batch->ready_count; at++)
        give_back(batch, batch->ready[at]->filed, 0);
}

int64_t jobs_batch_run(struct jobs_worker *worker)
{
    struct batch batch = {.worker = worker, .live = routes_live(worker->jobs->settings.routes)};
    int64_t begin = clock_monotonic();
    arena_reset(worker->desk->arena);
    tasks_make(&batch);
    (void)!ends_tell(&batch);
    chunks_run(&batch);
    ends_tell_surely(&batch);
    live_unref(batch.live);
    return clock_monotonic() - begin;
}
