#include "work/behind.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "work/backoff.h"
#include "work/behind_batch.h"
#include "work/queue_settings.h"

/* How often the streams are looked at: µs. */
#define LOOK_MOST INT64_C(100000)
#define LOOK_LEAST INT64_C(5000)

/* How long a stream is left to the daemon that is at it: µs. */
#define PEER_PAUSE INT64_C(20000)

/* Batches that are made at a time: one that waits for a lock holds up no other route's. */
#define MAKERS 4

/* A look may take so long: µs. */
#define LOOK_PATIENCE (2 * INT64_C(1000000))

/* A route's stream. What of it changes is the maker's who has it at work, else under the lock. */
struct route_state {
    struct behind_stream stream; /* a reference to its routes */
    struct route_state *next;    /* among those that are due */
    bool at_work;                /* it is due, or a maker has it */
    bool gone;                   /* the routes are others: its maker frees it */
    struct backoff backoff;
    int64_t rests_until; /* monotonic µs */
    bool failing;        /* the log says so */
};

struct maker {
    struct behind *behind;
    struct behind_tools tools;
    struct thread thread;
};

/*
 * One thread looks which streams are due, the makers make a batch of the one that is due longest.
 * No two make of one stream, and what they would make of one under old routes and new PostgreSQL
 * keeps apart.
 */
struct behind {
    struct behind_settings settings;
    struct redis_connection *redis;
    unsigned connects; /* of it, when its settings were looked at */
    struct live *live; /* the routes that `states` are of; a reference */
    struct route_state **states;
    struct queue_behind_state *waiting; /* of each of them */
    const char **names;
    size_t count;
    struct backoff backoff; /* of Redis */
    bool failing;
    struct maker makers[MAKERS];
    struct thread thread;
    pthread_mutex_t lock; /* of what follows, and of the states */
    pthread_cond_t woken; /* … by a batch that was made, or the end */
    pthread_cond_t wanted;
    struct route_state *due, **due_end;
    bool news; /* a batch was made */
    bool ends;
};

static void state_free(struct route_state *state)
{
    live_unref(state->stream.live);
    free(state);
}

/* What a maker has is its own from here on; of what none has yet nothing is made. */
static void states_clear(struct behind *behind)
{
    pthread_mutex_lock(&behind->lock);
    for (struct route_state *state = behind->due; state; state = state->next)
        state->at_work = false;
    behind->due = NULL;
    behind->due_end = &behind->due;
    for (size_t i = 0; i < behind->count; i++) {
        behind->states[i]->gone = true;
        if (!behind->states[i]->at_work)
            state_free(behind->states[i]);
    }
    behind->count = 0;
    pthread_mutex_unlock(&behind->lock);
    free(behind->states);
    free(behind->waiting);
    free(behind->names);
    live_unref(behind->live);
    behind->states = NULL;
    behind->waiting = NULL;
    behind->names = NULL;
    behind->live = NULL;
}

static bool state_add(struct behind *behind, const struct served *served)
{
    if (!served->route->behind.present)
        return true;
    struct route_state *state = calloc(1, sizeof *state);
    if (!state)
        return false;
    state->stream = (struct behind_stream){.live = live_ref(behind->live), .served = served};
    behind->names[behind->count] = state->stream.name;
    behind->states[behind->count++] = state;
    return queue_behind_name(behind->settings.queue, served->route->name, state->stream.name, NULL);
}

static bool states_room(struct behind *behind, size_t count)
{
    behind->states = calloc(count + 1, sizeof(struct route_state *));
    behind->waiting = calloc(count + 1, sizeof *behind->waiting);
    behind->names = calloc(count + 1, sizeof(const char *));
    return behind->states && behind->waiting && behind->names;
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
    bool good = states_room(behind, live_count(live));
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

/* Makers */

static void batch_make(struct maker *maker, struct route_state *state)
{
    struct error error = {0};
    enum behind_outcome outcome = behind_batch(&maker->tools, &state->stream, &error);
    int64_t now = clock_monotonic();
    state->rests_until = 0;
    if (outcome == BEHIND_LATER)
        state->rests_until = now + backoff_failed(&state->backoff, (uint32_t)random());
    else
        backoff_succeeded(&state->backoff);
    if (outcome == BEHIND_PEER)
        state->rests_until = now + PEER_PAUSE + random() % PEER_PAUSE;
    else
        tell(&state->failing, outcome == BEHIND_LATER, state->stream.served->route->name,
             error.text);
}

/* The stream that is due longest; null: the end. */
static struct route_state *due_take(struct behind *behind)
{
    pthread_mutex_lock(&behind->lock);
    while (!behind->ends && !behind->due)
        pthread_cond_wait(&behind->wanted, &behind->lock);
    struct route_state *state = behind->ends ? NULL : behind->due;
    if (state) {
        behind->due = state->next;
        if (!behind->due)
            behind->due_end = &behind->due;
    }
    pthread_mutex_unlock(&behind->lock);
    return state;
}

static void due_done(struct behind *behind, struct route_state *state)
{
    pthread_mutex_lock(&behind->lock);
    state->at_work = false;
    if (state->gone)
        state_free(state);
    behind->news = true;
    pthread_cond_signal(&behind->woken);
    pthread_mutex_unlock(&behind->lock);
}

static void *maker_run(void *argument)
{
    struct maker *maker = argument;
    struct route_state *state;
    while ((state = due_take(maker->behind))) {
        batch_make(maker, state);
        due_done(maker->behind, state);
    }
    return NULL;
}

/* The look at what waits */

/* When it is to be looked at again, if nothing else happens: monotonic µs. Under the lock. */
static int64_t state_consider(struct behind *behind, struct route_state *state,
                              const struct queue_behind_state *waiting)
{
    const struct route *route = state->stream.served->route;
    int64_t now = clock_monotonic();
    if (waiting->waiting == 0 || state->at_work)
        return INT64_MAX;
    if (now < state->rests_until)
        return state->rests_until;
    if (waiting->waiting < route->behind.batch && waiting->age < route->behind.every)
        return now + route->behind.every - waiting->age;
    state->at_work = true;
    state->next = NULL;
    *behind->due_end = state;
    behind->due_end = &state->next;
    pthread_cond_signal(&behind->wanted);
    return INT64_MAX;
}

static void measure(struct behind *behind)
{
    int64_t waiting = 0, age = 0;
    for (size_t i = 0; i < behind->count; i++) {
        waiting += behind->waiting[i].waiting;
        age = behind->waiting[i].age > age ? behind->waiting[i].age : age;
    }
    counters_set(behind->settings.counters, COUNTER_BEHIND_WAITING, waiting);
    counters_set(behind->settings.counters, COUNTER_BEHIND_OLDEST, age / 1000000);
}

static int64_t patience(void)
{
    return clock_monotonic() + LOOK_PATIENCE;
}

/* The keeper of jobs looks at the server's settings where there is one. */
static bool settings_look(struct behind *behind, struct error *error)
{
    const struct behind_settings *settings = &behind->settings;
    return options_number(settings->options, OPTION_WORKERS) > 0 ||
           queue_settings_tell(settings->queue, settings->options, behind->redis, &behind->connects,
                               patience(), error);
}

static bool look(struct behind *behind, struct error *error)
{
    struct queue *queue = behind->settings.queue;
    bool seen = queue_resolve(queue, clock_monotonic(), error);
    for (size_t at = 0, size; seen && at < behind->count; at += size) {
        size_t left = behind->count - at;
        size = left < QUEUE_BEHIND_STREAMS ? left : QUEUE_BEHIND_STREAMS;
        seen = queue_behind_look(queue, behind->redis, behind->names + at, size, patience(),
                                 behind->waiting + at, error);
    }
    return seen && settings_look(behind, error);
}

/* So that a write waits hardly longer than its route says. */
static int64_t look_pause(const struct behind *behind)
{
    int64_t pause = LOOK_MOST;
    for (size_t i = 0; i < behind->count; i++) {
        int64_t half = behind->states[i]->stream.served->route->behind.every / 2;
        pause = half < pause ? half : pause;
    }
    return pause > LOOK_LEAST ? pause : LOOK_LEAST;
}

static void news_forget(struct behind *behind)
{
    pthread_mutex_lock(&behind->lock);
    behind->news = false;
    pthread_mutex_unlock(&behind->lock);
}

/* Looks at all streams and hands out those that are due; when to look again, monotonic µs. */
static int64_t round_run(struct behind *behind)
{
    struct error error;
    news_forget(behind);
    if (!states_make(behind) || behind->count == 0)
        return clock_monotonic() + LOOK_MOST;
    bool seen = look(behind, &error);
    tell(&behind->failing, !seen, "LARDER_QUEUE", error.text);
    if (!seen)
        return clock_monotonic() + backoff_failed(&behind->backoff, (uint32_t)random());
    backoff_succeeded(&behind->backoff);
    measure(behind);
    int64_t next = clock_monotonic() + look_pause(behind);
    pthread_mutex_lock(&behind->lock);
    for (size_t i = 0; i < behind->count; i++) {
        int64_t due = state_consider(behind, behind->states[i], &behind->waiting[i]);
        next = due < next ? due : next;
    }
    pthread_mutex_unlock(&behind->lock);
    return next;
}

/* … or until a batch was made, behind which more may wait. False: it is to end. */
static bool wait_until(struct behind *behind, int64_t until)
{
    pthread_mutex_lock(&behind->lock);
    while (!behind->ends && !behind->news && clock_monotonic() < until)
        clock_condition_wait(&behind->woken, &behind->lock, until);
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
    for (size_t i = 0; i < MAKERS; i++)
        redis_connection_free(behind->makers[i].tools.redis);
    redis_connection_free(behind->redis);
    pthread_cond_destroy(&behind->woken);
    pthread_cond_destroy(&behind->wanted);
    pthread_mutex_destroy(&behind->lock);
    free(behind);
}

static bool makers_init(struct behind *behind)
{
    const struct behind_settings *settings = &behind->settings;
    bool made = true;
    for (size_t i = 0; i < MAKERS; i++) {
        behind->makers[i].behind = behind;
        behind->makers[i].tools = (struct behind_tools){.options = settings->options,
                                                        .counters = settings->counters,
                                                        .queue = settings->queue,
                                                        .redis = queue_connection(settings->queue),
                                                        .pool = settings->pool};
        made = made && behind->makers[i].tools.redis;
    }
    return made;
}

static struct behind *behind_new(const struct behind_settings *settings)
{
    struct behind *behind = calloc(1, sizeof *behind);
    if (!behind)
        return NULL;
    behind->settings = *settings;
    behind->due_end = &behind->due;
    clock_condition_init(&behind->woken);
    pthread_cond_init(&behind->wanted, NULL);
    pthread_mutex_init(&behind->lock, NULL);
    behind->redis = queue_connection(settings->queue);
    if (makers_init(behind) && behind->redis)
        return behind;
    behind_free(behind);
    return NULL;
}

static bool threads_start(struct behind *behind, struct error *error)
{
    static const struct thread_kind looker = {.name = "behind", .run = run};
    static const struct thread_kind maker_kind = {.name = "behind", .run = maker_run};
    bool started = thread_start(&behind->thread, &looker, behind, error);
    for (size_t i = 0; started && i < MAKERS; i++) {
        struct maker *maker = &behind->makers[i];
        started = thread_start(&maker->thread, &maker_kind, maker, error);
    }
    return started;
}

bool behind_start(const struct behind_settings *settings, struct behind **ret_behind,
                  struct error *error)
{
    struct behind *behind = behind_new(settings);
    if (!behind)
        return error_set_memory(error);
    if (threads_start(behind, error)) {
        *ret_behind = behind;
        return true;
    }
    behind_stop(behind);
    return false;
}

void behind_stop(struct behind *behind)
{
    if (!behind)
        return;
    pthread_mutex_lock(&behind->lock);
    behind->ends = true;
    pthread_cond_signal(&behind->woken);
    pthread_cond_broadcast(&behind->wanted);
    pthread_mutex_unlock(&behind->lock);
    thread_join(&behind->thread);
    for (size_t i = 0; i < MAKERS; i++)
        thread_join(&behind->makers[i].thread);
    behind_free(behind);
}
