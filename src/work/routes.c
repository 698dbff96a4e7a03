#include "work/routes.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"

/* How long PostgreSQL may take to let us in, and over each question about a route: µs. */
#define CONNECT_TIMEOUT (5 * INT64_C(1000000))
#define LEARN_TIMEOUT (5 * INT64_C(1000000))

/* When PostgreSQL is asked again: while it has not told of all, and when it has. µs. */
#define UNASKED_PAUSE INT64_C(1000000)
#define AGAIN_PAUSE (30 * INT64_C(1000000))

struct routes {
    const struct options *options;
    struct counters *counters;
    struct db_pool *pool;
    struct db_settings settings;
    struct thread thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t woken;
    struct live *live;
    bool reload, ends, tried;
};

static void log_faults(struct fault_list *faults)
{
    fault_sort(faults);
    for (size_t i = 0; i < faults->count; i++) {
        const struct fault *fault = &faults->faults[i];
        if (fault->line)
            log_event(LOG_ERROR, "route", "%s:%u: %s", fault->file, fault->line, fault->text);
        else
            log_event(LOG_ERROR, "route", "%s: %s", fault->file, fault->text);
    }
}

/* Tells PostgreSQL's word on every route; false: it could not be asked about all. */
typedef bool asking(struct routes *routes, struct live *live, struct db_connection *connection,
                    struct fault_list *faults, struct db_failure *failure);

static bool ask_new(struct routes *routes, struct live *live, struct db_connection *connection,
                    struct fault_list *faults, struct db_failure *failure)
{
    (void)routes;
    return live_learn(live, connection, faults, failure);
}

static bool ask_again(struct routes *routes, struct live *live, struct db_connection *connection,
                      struct fault_list *faults, struct db_failure *failure)
{
    bool changed = false;
    bool told = live_learn_anew(live, connection, faults, &changed, failure);
    if (changed)
        db_pool_forget_prepared(routes->pool);
    return told;
}

static bool ask(struct routes *routes, struct live *live, asking *asks, struct fault_list *faults)
{
    struct db_connection *connection;
    struct db_failure failure = {0};
    if (!db_connect(&routes->settings, clock_monotonic() + CONNECT_TIMEOUT, &connection, &failure))
        return false;
    bool told = db_pool_renew(routes->pool, connection, LEARN_TIMEOUT, &failure) &&
                asks(routes, live, connection, faults, &failure);
    db_disconnect(connection);
    return told;
}

static void publish(struct routes *routes, struct live *live)
{
    pthread_mutex_lock(&routes->lock);
    struct live *old = routes->live;
    routes->live = live;
    pthread_mutex_unlock(&routes->lock);
    live_unref(old);
    db_pool_forget_prepared(routes->pool);
}

static void load(struct routes *routes, struct fault_list *faults)
{
    const char *folder = options_text(routes->options, OPTION_ROUTES);
    const struct live_settings settings = {.folder = folder, .counters = routes->counters};
    struct live *live = live_load(&settings, faults);
    size_t wrong = faults->count;
    if (!live) {
        log_event(LOG_ERROR, "routes", "%zu fault%s in %s: no routes are loaded from there", wrong,
                  wrong == 1 ? "" : "s", folder);
        return;
    }
    ask(routes, live, ask_new, faults);
    log_event(LOG_INFO, "routes", "%zu loaded from %s", live_count(live), folder);
    publish(routes, live);
}

/* The thread's own look at what it alone replaces. */
static void look_again(struct routes *routes, struct fault_list *faults)
{
    struct live *live = routes->live;
    if (!live)
        return;
    if (!live_unasked(live))
        ask(routes, live, ask_again, faults);
    else if (ask(routes, live, ask_new, faults))
        db_pool_forget_prepared(routes->pool);
}

static void run_once(struct routes *routes, bool reload)
{
    struct arena *arena = arena_new();
    struct fault_list faults = {.arena = arena};
    if (!arena)
        return;
    if (reload)
        load(routes, &faults);
    else
        look_again(routes, &faults);
    log_faults(&faults);
    fault_list_free(&faults);
    arena_free(arena);
}

/* Waits until something is to be done; false: the end. */
static bool work_wait(struct routes *routes, bool *ret_reload)
{
    bool unasked = routes->live && live_unasked(routes->live);
    int64_t until = clock_monotonic() + (unasked ? UNASKED_PAUSE : AGAIN_PAUSE);
    pthread_mutex_lock(&routes->lock);
    while (!routes->ends && !routes->reload && clock_monotonic() < until)
        clock_condition_wait(&routes->woken, &routes->lock, until);
    *ret_reload = routes->reload;
    routes->reload = false;
    bool ends = routes->ends;
    pthread_mutex_unlock(&routes->lock);
    return !ends;
}

static void *run(void *argument)
{
    struct routes *routes = argument;
    bool reload;
    while (work_wait(routes, &reload)) {
        run_once(routes, reload);
        pthread_mutex_lock(&routes->lock);
        routes->tried = true;
        pthread_mutex_unlock(&routes->lock);
    }
    return NULL;
}

static void routes_free(struct routes *routes)
{
    live_unref(routes->live);
    pthread_cond_destroy(&routes->woken);
    pthread_mutex_destroy(&routes->lock);
    free(routes);
}

static void locks_init(struct routes *routes)
{
    clock_condition_init(&routes->woken);
    pthread_mutex_init(&routes->lock, NULL);
}

bool routes_start(const struct options *options, struct counters *counters, struct db_pool *pool,
                  struct routes **ret_routes, struct error *error)
{
    static const struct thread_kind kind = {.name = "routes", .run = run};
    struct routes *routes = calloc(1, sizeof *routes);
    if (!routes)
        return error_set_memory(error);
    *routes = (struct routes){
        .options = options,
        .counters = counters,
        .pool = pool,
        .settings = db_settings_of(options, LEARN_TIMEOUT),
        .reload = true,
    };
    locks_init(routes);
    if (thread_start(&routes->thread, &kind, routes, error)) {
        *ret_routes = routes;
        return true;
    }
    routes_free(routes);
    return false;
}

void routes_stop(struct routes *routes)
{
    if (!routes)
        return;
    pthread_mutex_lock(&routes->lock);
    routes->ends = true;
    pthread_cond_signal(&routes->woken);
    pthread_mutex_unlock(&routes->lock);
    thread_join(&routes->thread);
    routes_free(routes);
}

struct live *routes_live(struct routes *routes)
{
    pthread_mutex_lock(&routes->lock);
    struct live *live = routes->live ? live_ref(routes->live) : NULL;
    pthread_mutex_unlock(&routes->lock);
    return live;
}

bool routes_tried(struct routes *routes)
{
    pthread_mutex_lock(&routes->lock);
    bool tried = routes->tried;
    pthread_mutex_unlock(&routes->lock);
    return tried;
}

void routes_reload(struct routes *routes)
{
    pthread_mutex_lock(&routes->lock);
    routes->reload = true;
    pthread_cond_signal(&routes->woken);
    pthread_mutex_unlock(&routes->lock);
}
