/*
 * Finding answers for a batch of requests, and giving each to the thread it suits.
 */
#include <string.h>

#include "base/clock.h"
#include "queue/file.h"
#include "serve/behind.h"
#include "serve/crew.h"
#include "serve/filing.h"
#include "serve/flight.h"
#include "serve/steps.h"

/* A front writes no body larger than this: a slow reader would keep it from others. */
#define QUICK_BODY_MAX ((size_t)256 * 1024)

_Static_assert(LISTENER_BATCH <= STORE_BATCH, "one round trip asks for a whole batch");
_Static_assert(LISTENER_BATCH <= QUEUE_BATCH, "one round trip files a whole batch");

static bool asks_now(const struct exchange *exchange)
{
    return exchange->phase == PHASE_SEEKING && exchange->asks && !exchange->alone;
}

/* Asks the cache for every request of the batch that wants it, in one round trip. */
static void batch_lookup(struct member *member, struct job *const *jobs, size_t count)
{
    struct server *server = member->crew->server;
    struct store_query *queries[LISTENER_BATCH];
    struct exchange *asking[LISTENER_BATCH];
    struct error event = {0};
    int64_t budget = options_number(server->options, OPTION_REDIS_TIMEOUT);
    int64_t waited = 0;
    size_t asked = 0;
    for (size_t i = 0; i < count; i++) {
        struct exchange *exchange = job_exchange(jobs[i]);
        if (!asks_now(exchange))
            continue;
        redis_reply_free(exchange->lookup.found.reply);
        exchange->lookup.found.reply = NULL;
        exchange->now = exchange->lookup.now = clock_wall(); /* it may have waited */
        waited = exchange->redis_waited > waited ? exchange->redis_waited : waited;
        exchange->redis_waited = 0;
        queries[asked] = &exchange->lookup;
        asking[asked++] = exchange;
    }
    if (!asked)
        return;
    budget -= waited;
    int64_t begun = clock_monotonic();
    cache_store_lookup(server->store, member->tools.redis, queries, asked, &budget, &event);
    crew_waited(member, clock_monotonic() - begun);
    for (size_t i = 0; i < asked; i++) {
        asking[i]->asked = begun;
        asking[i]->redis_budget = budget;
    }
    exchange_redis_event(&event);
}

/* Can it be answered at once, without a query and without writing for long? */
static bool is_quick(const struct exchange *exchange)
{
    size_t size = exchange->settled_body.size;
    for (enum coding coding = 0; coding < CODING_COUNT; coding++)
        size += exchange->bodies[coding].size;
    return !(exchange->phase & (PHASE_SEEKING | PHASE_WATCHING)) && size <= QUICK_BODY_MAX;
}

/* It may take as long as its reader likes, so none waits for another to end. */
static void download_dispatch(struct member *member, struct job *job)
{
    struct exchange *exchange = job_exchange(job);
    if (crew_hand_download(member->crew, job))
        return;
    exchange_problem(exchange, 503, "As many downloads as may run at a time are running.");
    exchange_header(exchange, "Retry-After", "5");
    crew_answer(member, job);
}

/* A query may be so long, µs, that a front makes it. */
#define SHORT_QUERY INT64_C(2000)

static bool writes(const struct exchange *exchange)
{
    return exchange->served->route->method != METHOD_GET;
}

/* It waits for neither its client's body nor a read that it is to refresh. */
static bool is_quick_write(const struct exchange *exchange)
{
    return exchange->whole && !exchange->served->route->refresh_count;
}

/* Going by the last one: does PostgreSQL answer it sooner than a hand is missed? */
static bool is_short(const struct exchange *exchange)
{
    if (exchange->phase != PHASE_SEEKING || (writes(exchange) && !is_quick_write(exchange)))
        return false;
    int64_t lasted = atomic_load_explicit(&exchange->served->lasted, memory_order_relaxed);
    return lasted && lasted < SHORT_QUERY;
}

/*
 * May one more front be away? Not the last: hits wait for no query. A write waits for locks of
 * others, so it must be all that is under way.
 */
static bool front_leave(struct crew *crew, bool alone)
{
    pthread_mutex_lock(&crew->lock);
    bool may = crew->away + 1 < crew->front_count && !(alone && crew->active > 1);
    crew->away += may;
    pthread_mutex_unlock(&crew->lock);
    return may;
}

static void front_return(struct crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    crew->away--;
    pthread_mutex_unlock(&crew->lock);
}

/*
 * A front with nothing else in its hands makes a short query, or a write, itself: to take a hand
 * from its sleep would cost the client more than all else that is done for him here.
 */
static bool goes_on(struct member *member, struct job *job)
{
    struct exchange *exchange = job_exchange(job);
    if (!member->lone || !is_short(exchange) || !front_leave(member->crew, writes(exchange)))
        return false;
    crew_ring(member); /* it may be long this time */
    crew_fill(member, job);
    if (is_quick(exchange))
        crew_answer(member, job);
    else
        crew_hand_over(member->crew, job);
    crew_settle(member);
    front_return(member->crew);
    return true;
}

void crew_dispatch(struct member *member, struct job *job)
{
    struct exchange *exchange = job_exchange(job);
    if (exchange->phase == PHASE_SEEKING && exchange->waits)
        crew_queue(member->crew, job);
    else if (is_quick(exchange))
        crew_answer(member, job);
    else if (crew_is_download(job))
        download_dispatch(member, job);
    else if (!goes_on(member, job))
        crew_hand_over(member->crew, job);
}

/* Files and queues every write of the batch that is ready for it, in one round trip each. */
static void batch_file(struct member *member, struct job *const *jobs, size_t count)
{
    struct exchange *filing[LISTENER_BATCH], *behind[LISTENER_BATCH];
    size_t found = 0, queued = 0;
    for (size_t i = 0; i < count; i++) {
        struct exchange *exchange = job_exchange(jobs[i]);
        if (exchange->phase == PHASE_SEEKING)
            filing_body(exchange);
        if (exchange->phase == PHASE_SEEKING && filing_ready(exchange))
            filing[found++] = exchange;
        else if (exchange->phase == PHASE_SEEKING && behind_ready(exchange))
            behind[queued++] = exchange;
    }
    if (found)
        filing_run(member->crew->server, member->tools.queue, filing, found,
                   member->lone && crew_alone(member->crew));
    if (queued)
        behind_run(member->crew->server, member->tools.queue, behind, queued);
}

void crew_look(struct member *member, struct job **jobs, size_t count)
{
    count = crew_watch(member, jobs, count, false);
    batch_lookup(member, jobs, count);
    batch_file(member, jobs, count);
    count = crew_watch(member, jobs, count, true);
    for (size_t i = 0; i < count; i++) {
        job_lend(jobs[i], &member->tools);
        steps_walk(job_exchange(jobs[i]), PART_LOOK);
    }
    /* The slow ones first: others begin with them while this thread writes. */
    for (size_t i = 0; i < count; i++) {
        if (is_quick(job_exchange(jobs[i])))
            continue;
        crew_dispatch(member, jobs[i]);
        jobs[i] = NULL;
    }
    for (size_t i = 0; i < count; i++)
        if (jobs[i])
            crew_dispatch(member, jobs[i]);
}

/*
 * Whose time for Redis is over is not parked behind one that waits for Redis, but with others of
 * his kind: they ask the database, in one query.
 */
static struct span flight_key(const struct exchange *exchange)
{
    int64_t most = options_number(exchange->server->options, OPTION_REDIS_TIMEOUT);
    struct span key = exchange->lookup.key;
    if (exchange->redis_waited < most / 10)
        return key;
    char *late = arena_alloc(exchange->desk->arena, key.size + 1);
    if (!late)
        return key;
    late[0] = '!'; /* before what all keys begin with: so it is no other's key */
    memcpy(late + 1, key.data, key.size);
    return (struct span){.data = late, .size = key.size + 1};
}

/* Is the job still this thread's, or parked behind another that seeks the same? */
static bool stays(struct crew *crew, struct job *job)
{
    struct exchange *exchange = job_exchange(job);
    return !asks_now(exchange) || exchange->flight ||
           flight_join(crew->server->flights, flight_key(exchange), job, &exchange->flight);
}

void crew_seek(struct member *member, struct job **jobs, size_t count)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++)
        if (stays(member->crew, jobs[i]))
            jobs[left++] = jobs[i];
    crew_look(member, jobs, left);
}
