#include "work/behind.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "work/backoff.h"
#include "work/behind_batch.h"

/* How often the streams are looked at: µs. */
#define LOOK_MOST INT64_C(100000)
#define LOOK_LEAST INT64_C(5000)

/* How long a stream is left to the daemon that is at it: µs. */
#define PEER_PAUSE INT64_C(20000)

/* A look may take so long: µs. */
#define LOOK_PATIENCE (2 * INT64_C(1000000))

struct route_state {
    struct behind_stream stream;
    struct backoff backoff;
    int64_t rests_until; /* monotonic µs */
    bool failing;        /* the log says so */
};

struct behind {
    struct behind_settings settings;
    struct behind_tools tools;
    struct live *live; /* the routes that `states` are of; a reference */
    struct route_state *states;
    size_t count;
    struct backoff backoff; /* of Redis */
    bool failing;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool ends;
};

static void states_clear(struct behind *behind)
{
    free(behind->states);
    live_unref(behind->live);
    behind->states = NULL;
    behind->live = NULL;
    behind->count = 0;
}

static bool state_add(struct behind *behind, const struct served *served)
{
    struct route_state *state = &behind->states[behind->count];
    *state = (struct route_state){.stream = {.live = behind->live, .served = served}};
    if (!served->route->behind.present || behind->count == QUEUE_BEHIND_STREAMS)
        return true;
    behind->count++;
    return queue_behind_name(behind->settings.queue, served->route->name, state->stream.name, NULL);
}

/* Other routes are other streams; what waits for a route that is gone stays where it is. */
static bool states_make(struct behind *behind)
{
    struct live *live = routes_live(behind->settings.routes);
    if (live == behind->live) {
        live_unref(live);
        return live != NULL;
    }
    states_clear(behind);
    if (!live)
        return false;
    behind->live = live;
    behind->states = calloc(live_count(live) + 1, sizeof *behind->states);
    bool good = behind->states;
    for (size_t i = 0; good && i < live_count(live); i++)
        good = state_add(behind, live_at(live, i));
    if (!good)
        states_clear(behind);
    return good;
}

/* One line when it begins to fail and one when it is over. */
static void tell(bool *failing, bool fails, const char *what, const char *why)
{
    if (fails && !*failing)
        log_event(LOG_WARNING, "behind", "%s: queued writes wait: %s", what, why);
    else if (!fails && *failing)
        log_event(LOG_INFO, "behind", "%s: queued writes are made again", what);
    *failing = fails;
}

/* When to look again: monotonic µs. */
static int64_t serve(struct behind *behind, struct route_state *state,
                     const struct queue_behind_state *waiting)
{
    const struct route *route = state->stream.served->route;
    int64_t now = clock_monotonic();
    struct error error = {0};
    if (waiting->waiting == 0)
        return INT64_MAX;
    if (now < state->rests_until)
        return state->rests_until;
    if (waiting->waiting < route->behind.batch && waiting->age < route->behind.every)
        return now + route->behind.every - waiting->age;
    enum behind_outcome outcome = behind_batch(&behind->tools, &state->stream, &error);
    now = clock_monotonic();
    state->rests_until = 0;
    if (outcome == BEHIND_LATER)
        state->rests_until = now + backoff_failed(&state->backoff, (uint32_t)random());
    else
        backoff_succeeded(&state->backoff);
    if (outcome == BEHIND_PEER)
        state->rests_until = now + PEER_PAUSE + random() % PEER_PAUSE;
    else
        tell(&state->failing, outcome == BEHIND_LATER, route->name, error.text);
    return state->rests_until;
}

static void measure(struct behind *behind, const struct queue_behind_state *states)
{
    int64_t waiting = 0, age = 0;
    for (size_t i = 0; i < behind->count; i++) {
        waiting += states[i].waiting;
        age = states[i].age > age ? states[i].age : age;
    }
    counters_set(behind->settings.counters, COUNTER_BEHIND_WAITING, waiting);
    counters_set(behind->settings.counters, COUNTER_BEHIND_OLDEST, age / 1000000);
}

static bool look(struct behind *behind, struct queue_behind_state *ret_states, struct error *error)
{
    const char *names[QUEUE_BEHIND_STREAMS];
    for (size_t i = 0; i < behind->count; i++)
        names[i] = behind->states[i].stream.name;
    return queue_resolve(behind->settings.queue, clock_monotonic(), error) &&
           queue_behind_look(behind->settings.queue, behind->tools.redis, names, behind->count,
                             clock_monotonic() + LOOK_PATIENCE, ret_states, error);
}

/* So that a write waits hardly longer than its route says. */
static int64_t look_pause(const struct behind *behind)
{
    int64_t pause = LOOK_MOST;
    for (size_t i = 0; i < behind->count; i++) {
        int64_t half = behind->states[i].stream.served->route->behind.every / 2;
        pause = half < pause ? half : pause;
    }
    return pause > LOOK_LEAST ? pause : LOOK_LEAST;
}

/* Looks at all streams and makes a batch of each that is due; when to look again, monotonic µs. */
static int64_t round_run(struct behind *behind)
{
    struct queue_behind_state states[QUEUE_BEHIND_STREAMS];
    struct error error;
    if (!states_make(behind) || behind->count == 0)
        return clock_monotonic() + LOOK_MOST;
    bool seen = look(behind, states, &error);
    tell(&behind->failing, !seen, "LARDER_QUEUE", error.text);
    if (!seen)
        return clock_monotonic() + backoff_failed(&behind->backoff, (uint32_t)random());
    backoff_succeeded(&behind->backoff);
    measure(behind, states);
    int64_t next = clock_monotonic() + look_pause(behind);
    for (size_t i = 0; i < behind->count; i++) {
        int64_t due = serve(behind, &behind->states[i], &states[i]);
        next = due < next ? due : next;
    }
    return next;
}

/* False: it is to end. */
static bool wait_until(struct behind *behind, int64_t until)
{
    const struct timespec time = {.tv_sec = until / 1000000, .tv_nsec = until % 1000000 * 1000};
    pthread_mutex_lock(&behind->lock);
    while (!behind->ends && clock_monotonic() < until)
        pthread_cond_timedwait(&behind->woken, &behind->lock, &time);
    bool ends = behind->ends;
    pthread_mutex_unlock(&behind->lock);
    return !ends;
}

static void *run(void *argument)
{
    struct behind *behind = argument;
    while (wait_until(behind, round_run(behind)))
        ;
    return NULL;
}

static void behind_free(struct behind *behind)
{
    states_clear(behind);
    redis_connection_free(behind->tools.redis);
    pthread_cond_destroy(&behind->woken);
    pthread_mutex_destroy(&behind->lock);
    free(behind);
}

static void locks_init(struct behind *behind)
{
    clock_condition_init(&behind->woken);
    pthread_mutex_init(&behind->lock, NULL);
}

bool behind_start(const struct behind_settings *settings, struct behind **ret_behind,
                  struct error *error)
{
    struct behind *behind = calloc(1, sizeof *behind);
    if (!behind)
        return error_set_memory(error);
    behind->settings = *settings;
    locks_init(behind);
    behind->tools = (struct behind_tools){.options = settings->options,
                                          .counters = settings->counters,
                                          .queue = settings->queue,
                                          .redis = queue_connection(settings->queue),
                                          .pool = settings->pool};
    int failure = behind->tools.redis ? pthread_create(&behind->thread, NULL, run, behind) : ENOMEM;
    if (failure == 0) {
        pthread_setname_np(behind->thread, "behind");
        *ret_behind = behind;
        return true;
    }
    behind_free(behind);
    errno = failure;
    return error_set_errno(error, "starting the thread of queued writes");
}

void behind_stop(struct behind *behind)
{
    if (!behind)
        return;
    pthread_mutex_lock(&behind->lock);
    behind->ends = true;
    pthread_cond_signal(&behind->woken);
    pthread_mutex_unlock(&behind->lock);
    pthread_join(behind->thread, NULL);
    behind_free(behind);
}
