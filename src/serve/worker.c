#include "serve/worker.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "serve/job.h"
#include "serve/steps.h"

/* A thread's stack: the deepest is libpq's and brotli's, well under half of it. */
#define STACK_SIZE ((size_t)512 * 1024)

/* Empty jobs kept for the next requests. */
#define SPARE_MAX 64

/* A front writes no body larger than this: a slow reader would keep it from others. */
#define FRONT_BODY_MAX ((size_t)256 * 1024)

/* More fronts than this only share the same round trips among more switches of thread. */
#define FRONTS_MIN 2
#define FRONTS_MAX 4

_Static_assert(LISTENER_BATCH <= STORE_BATCH, "one round trip asks for a whole batch");

struct member {
    struct crew *crew;
    struct tools tools;
    pthread_t thread;
};

struct crew {
    struct server *server;
    struct listener *listener;
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    struct job_list waiting; /* for a hand */
    struct job_list spare;
    bool closed; /* no further job will come */
    size_t started;
    size_t front_count;
    size_t count;
    struct member members[]; /* the fronts first */
};

static struct job *job_take(struct crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    struct job *job = job_list_take(&crew->spare);
    pthread_mutex_unlock(&crew->lock);
    return job ? job : job_new(crew->server);
}

static void job_give_back(struct crew *crew, struct job *job)
{
    pthread_mutex_lock(&crew->lock);
    bool keep = crew->spare.count < SPARE_MAX;
    if (keep)
        job_list_append(&crew->spare, job);
    pthread_mutex_unlock(&crew->lock);
    if (!keep)
        job_free(job);
}

static void job_answer(struct crew *crew, struct job *job)
{
    steps_walk(job_exchange(job), PART_ANSWER);
    job_end(job, crew->listener);
    job_give_back(crew, job);
}

static void hand_over(struct crew *crew, struct job *job)
{
    pthread_mutex_lock(&crew->lock);
    job_list_append(&crew->waiting, job);
    pthread_mutex_unlock(&crew->lock);
    pthread_cond_signal(&crew->arrived);
}

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
        struct job *job = job_take(member->crew);
        if (!job)
            close(connections[i]);
        else if (job_begin_by(member, job, connections[i], deadline))
            jobs[begun++] = job;
        else
            job_give_back(member->crew, job);
    }
    return begun;
}

/* Asks the cache for every request of the batch that wants it, in one round trip. */
static void batch_lookup(struct member *member, struct job *const *jobs, size_t count)
{
    struct store_query *queries[LISTENER_BATCH];
    struct exchange *asking[LISTENER_BATCH];
    struct error event = {0};
    int64_t budget = 0;
    size_t asked = 0;
    for (size_t i = 0; i < count; i++) {
        struct exchange *exchange = job_exchange(jobs[i]);
        if (exchange->phase != PHASE_SEEKING || !exchange->asks)
            continue;
        budget = exchange->redis_budget;
        queries[asked] = &exchange->lookup;
        asking[asked++] = exchange;
    }
    if (!asked)
        return;
    cache_store_lookup(member->crew->server->store, member->tools.redis, queries, asked, &budget,
                       &event);
    for (size_t i = 0; i < asked; i++)
        asking[i]->redis_budget = budget;
    exchange_redis_event(&event);
}

/* Can a front answer at once, without a query and without writing for long? */
static bool is_quick(const struct exchange *exchange)
{
    size_t size = exchange->settled_body.size;
    for (enum coding coding = 0; coding < CODING_COUNT; coding++)
        size += exchange->bodies[coding].size;
    return exchange->phase != PHASE_SEEKING && size <= FRONT_BODY_MAX;
}

static void batch_serve(struct member *member, struct job **jobs, size_t count)
{
    struct crew *crew = member->crew;
    size_t quick = 0;
    for (size_t i = 0; i < count; i++)
        steps_walk(job_exchange(jobs[i]), PART_READ);
    batch_lookup(member, jobs, count);
    for (size_t i = 0; i < count; i++) {
        steps_walk(job_exchange(jobs[i]), PART_LOOK);
        if (!is_quick(job_exchange(jobs[i])))
            hand_over(crew, jobs[i]);
        else
            jobs[quick++] = jobs[i];
    }
    for (size_t i = 0; i < quick; i++)
        job_answer(crew, jobs[i]);
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

static void *front_run(void *argument)
{
    struct member *member = argument;
    struct crew *crew = member->crew;
    struct job *jobs[LISTENER_BATCH];
    int connections[LISTENER_BATCH];
    size_t count;
    while ((count = listener_next(crew->listener, connections)) > 0) {
        size_t whole = count > 1 ? whole_first(connections, count) : count;
        batch_serve(member, jobs, jobs_begin(member, connections, whole, jobs));
        batch_serve(member, jobs, jobs_begin(member, connections + whole, count - whole, jobs));
    }
    return NULL;
}

/* The next job for a hand; null when none will come any more. */
static struct job *job_wait(struct crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    while (!crew->waiting.first && !crew->closed)
        pthread_cond_wait(&crew->arrived, &crew->lock);
    struct job *job = job_list_take(&crew->waiting);
    pthread_mutex_unlock(&crew->lock);
    return job;
}

/* What Redis says to the entry just kept: read when the client has its answer. */
static void stores_settle(struct member *member)
{
    struct server *server = member->crew->server;
    struct error event = {0};
    if (!server->store)
        return;
    cache_store_settle(server->store, member->tools.redis,
                       options_number(server->options, OPTION_REDIS_TIMEOUT), &event);
    exchange_redis_event(&event);
}

static void *hand_run(void *argument)
{
    struct member *member = argument;
    struct job *job;
    while ((job = job_wait(member->crew))) {
        job_lend(job, &member->tools);
        job_answer(member->crew, job);
        stores_settle(member);
    }
    return NULL;
}

/* One a processor; two at least, so that a peer that breaks off can't hold the only one. */
static size_t front_count(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (processors < FRONTS_MIN)
        return FRONTS_MIN;
    return processors > FRONTS_MAX ? FRONTS_MAX : (size_t)processors;
}

static bool member_start(struct crew *crew, size_t index, const pthread_attr_t *attributes)
{
    struct member *member = &crew->members[index];
    bool front = index < crew->front_count;
    member->crew = crew;
    if (!tools_make(crew->server, &member->tools))
        return false;
    if (pthread_create(&member->thread, attributes, front ? front_run : hand_run, member) != 0) {
        tools_free(&member->tools);
        return false;
    }
    pthread_setname_np(member->thread, front ? "front" : "hand");
    return true;
}

static struct crew *crew_new(struct server *server, struct listener *listener, size_t hands)
{
    size_t fronts = front_count();
    struct crew *crew = calloc(1, sizeof *crew + (fronts + hands) * sizeof crew->members[0]);
    if (!crew)
        return NULL;
    crew->server = server;
    crew->listener = listener;
    crew->count = fronts + hands;
    crew->front_count = fronts;
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->arrived, NULL);
    return crew;
}

bool crew_start(struct server *server, struct listener *listener, size_t hands,
                struct crew **ret_crew, struct error *error)
{
    struct crew *crew = crew_new(server, listener, hands);
    if (!crew)
        return error_set_memory(error);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    while (crew->started < crew->count && member_start(crew, crew->started, &attributes))
        crew->started++;
    pthread_attr_destroy(&attributes);
    if (crew->started < crew->count) {
        error_set(error, ERROR_SYSTEM, "thread %zu of %zu could not be started", crew->started + 1,
                  crew->count);
        listener_stop(listener);
        crew_join(crew);
        return false;
    }
    *ret_crew = crew;
    return true;
}

static void members_join(struct crew *crew, size_t from, size_t to)
{
    for (size_t i = from; i < to && i < crew->started; i++) {
        pthread_join(crew->members[i].thread, NULL);
        tools_free(&crew->members[i].tools);
    }
}

/* The fronts end by the listener's stop; then no job comes any more, and the hands end. */
void crew_join(struct crew *crew)
{
    members_join(crew, 0, crew->front_count);
    pthread_mutex_lock(&crew->lock);
    crew->closed = true;
    pthread_mutex_unlock(&crew->lock);
    pthread_cond_broadcast(&crew->arrived);
    members_join(crew, crew->front_count, crew->count);
    struct job *job;
    while ((job = job_list_take(&crew->spare)))
        job_free(job);
    pthread_cond_destroy(&crew->arrived);
    pthread_mutex_destroy(&crew->lock);
    free(crew);
}
