#include "serve/server.h"

#include <signal.h>
#include <stdlib.h>

#include "auth/auth.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/write.h"
#include "serve/bearer.h"
#include "serve/body_tag.h"
#include "serve/chores.h"
#include "serve/flight.h"
#include "serve/gate.h"
#include "serve/installed.h"
#include "serve/learning.h"
#include "serve/outdated.h"
#include "serve/queue_event.h"
#include "serve/queue_watcher.h"
#include "serve/settings.h"

static bool counters_begin(struct server *server, struct error *error)
{
    struct error reason;
    const char *folder = options_text(server->options, OPTION_RUN);
    if (!counters_open(folder, &server->counters, &reason)) {
        log_event(LOG_WARNING, "counters",
                  "%s: counters are this process's own, not the host's (LARDER_RUN names a folder "
                  "the responders may write)",
                  reason.text);
        server->counters = counters_open_private();
    }
    if (!server->counters)
        return error_set_memory(error);
    server->unrouted = counters_route(server->counters, "none");
    server->internal = counters_route(server->counters, "/_larder/");
    return true;
}

static bool pool_begin(struct server *server, struct error *error)
{
    const struct db_pool_settings settings = db_pool_settings_of(server->options);
    server->pool = db_pool_new(&settings, server->counters);
    return server->pool ? true : error_set_memory(error);
}

static void tick_resolve(struct server *server)
{
    struct error error;
    if (server->store && !cache_store_resolve(server->store, clock_monotonic(), &error))
        log_event(LOG_WARNING, "redis", "%s", error.text);
    if (!limiter_resolve(server->limiter, clock_monotonic(), &error))
        log_event(LOG_WARNING, "limits", "%s", error.text);
    if (server->queue && !queue_resolve(server->queue, clock_monotonic(), &error))
        log_event(LOG_WARNING, "queue", "%s", error.text);
}

static void queue_wake(void *context, struct job_list *jobs)
{
    struct server *server = context;
    server->wake(server->crew, jobs);
}

/* Bytes of events that readers have not taken yet. */
#define EVENTS_MOST ((size_t)64 * 1024 * 1024)

static bool queue_begin(struct server *server, struct error *error)
{
    const struct options *options = server->options;
    struct queue_watcher_settings settings = {
        .counters = server->counters,
        .most = (size_t)options_number(options, OPTION_JOB_WAITS),
        .timeout = options_number(options, OPTION_REDIS_TIMEOUT),
        .wake = queue_wake,
        .context = server};
    if (!queue_open(options, server->arena, server->counters, &server->queue, error))
        return false;
    if (!server->queue)
        return true;
    settings.queue = server->queue;
    server->events = queue_events_new(EVENTS_MOST);
    if (!server->events)
        return error_set_memory(error);
    server->job_pages[0] = counters_route(server->counters, "GET /jobs/{id}");
    server->job_pages[1] = counters_route(server->counters, "DELETE /jobs/{id}");
    return queue_watcher_start(&settings, &server->watcher, error);
}

static bool cors_begin(struct server *server, struct error *error)
{
    const struct cors_settings settings = settings_cors(server->options);
    return cors_new(&settings, &server->cors, error);
}

static bool gate_begin(struct server *server, struct error *error)
{
    server->gate = gate_of_host();
    return server->gate ? true : error_set_memory(error);
}

/* Where requests are counted: a Redis of its own, or the cache's. */
static bool limiter_begin(struct server *server, struct error *error)
{
    const struct options *options = server->options;
    bool own = *options_text(options, OPTION_LIMIT_REDIS);
    enum option address = own ? OPTION_LIMIT_REDIS : OPTION_REDIS;
    struct limiter_settings settings = {.present = *options_text(options, address),
                                        .prefix = options_text(options, OPTION_PREFIX),
                                        .probe = options_number(options, OPTION_REDIS_PROBE),
                                        .counters = server->counters};
    if (settings.present &&
        !redis_address_of(options, address, server->arena, &settings.address, error))
        return false;
    server->limiter = limiter_new(&settings);
    server->proxies = networks_new(span_of(options_text(options, OPTION_PROXIES)));
    if (!server->limiter || !server->proxies)
        return error_set_memory(error);
    tick_resolve(server);
    return true;
}

/* Without the shared memory nginx has the ttl alone. */
static void urls_begin(struct server *server)
{
    struct error reason;
    if (*options_text(server->options, OPTION_NGINX) &&
        !urls_open(options_text(server->options, OPTION_RUN), &server->urls, &reason))
        log_event(LOG_WARNING, "nginx", "%s: what nginx keeps is not refreshed", reason.text);
}

/* The process' own memory: only beside Redis, which tells of changes. */
static bool memory_begin(struct server *server, struct error *error)
{
    struct error reason;
    size_t size = (size_t)options_number(server->options, OPTION_L1);
    if (!clocks_open(options_text(server->options, OPTION_RUN), &server->clocks, &reason)) {
        log_event(LOG_WARNING, "clocks",
                  "%s: the clocks of changes are this process's own, not the host's (LARDER_RUN "
                  "names a folder the responders may write)",
                  reason.text);
        server->clocks = clocks_open_private();
    }
    if (server->store && size)
        server->memory = memory_new(size, server->counters);
    server->flights = flights_new();
    bool made = server->clocks && server->flights && (server->memory || !server->store || !size);
    return made ? true : error_set_memory(error);
}

/* At its start the main thread learns itself, and takes its signals when it is done. */
static bool asked_to_end(struct server *server)
{
    sigset_t pending;
    return atomic_load(&server->ending) ||
           (sigpending(&pending) == 0 &&
            (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1));
}

/* What is served is asked about no more when other routes are to be served. */
static bool learning_ends(void *context)
{
    struct server *server = context;
    return asked_to_end(server) || (!server->reloading && atomic_load(&server->reload_wanted));
}

static void learn_aloud(struct server *server, struct live *live, struct fault_list *faults)
{
    struct db_failure failure = {0};
    if (!learning_ask(server, live, faults, &failure) && !asked_to_end(server))
        log_event(LOG_WARNING, "database",
                  "%s; until it tells the parameters' types, values are taken as they are",
                  failure.message);
}

/* Routes that are gone keep their rows as long as the file is there. */
static void counters_check(const struct server *server, struct live *live)
{
    size_t sharing = 0;
    for (size_t i = 0; i < live_count(live); i++)
        sharing += counters_shares(server->counters, live_at(live, i)->counters);
    if (sharing)
        log_event(LOG_WARNING, "counters",
                  "%zu route%s counted together, as \"other\": LARDER_RUN's file of counters has "
                  "no place for them, among which are those of routes that are gone; while no "
                  "process of Larder runs it may be removed",
                  sharing, sharing == 1 ? " is" : "s are");
}

static struct live *load(struct server *server, struct fault_list *faults)
{
    const struct live_settings settings = {
        .folder = options_text(server->options, OPTION_ROUTES),
        .counters = server->counters,
        .ends = learning_ends,
        .context = server,
        .vary = server->cors && cors_varies(server->cors) ? VARY_ORIGIN : 0};
    struct live *live = live_load(&settings, faults);
    if (live)
        bearer_check(server->auth, live, faults);
    if (live)
        counters_check(server, live);
    if (live && !server->queue && route_table_files_jobs(live_table(live)))
        log_event(LOG_WARNING, "queue",
                  "there are routes with @async, but LARDER_QUEUE is empty: no job can be filed");
    if (faults->count == 0)
        return live;
    live_unref(live);
    return NULL;
}

static bool routes_begin(struct server *server, struct error *error)
{
    struct fault_list faults = {.arena = server->arena};
    server->live = load(server, &faults);
    bool loaded = server->live != NULL;
    if (!loaded)
        error_set(error, ERROR_INVALID, "the routes in %s were not loaded: %zu fault%s",
                  options_text(server->options, OPTION_ROUTES), faults.count,
                  faults.count == 1 ? "" : "s");
    else
        learn_aloud(server, server->live, &faults);
    /* Routes that PostgreSQL complains of answer 500; the others are served. */
    fault_log(LOG_ERROR, "route", &faults);
    fault_list_free(&faults);
    if (loaded)
        log_event(LOG_INFO, "routes", "%zu loaded from %s", live_count(server->live),
                  options_text(server->options, OPTION_ROUTES));
    return loaded;
}

static bool feed_begin(struct server *server, struct error *error)
{
    const struct options *options = server->options;
    const struct feed_settings settings = {.store = server->store,
                                           .prefix = options_text(options, OPTION_PREFIX),
                                           .clocks = server->clocks,
                                           .memory = server->memory,
                                           .counters = server->counters,
                                           .timeout = options_number(options, OPTION_REDIS_TIMEOUT),
                                           .guard = options_number(options, OPTION_GUARD_TTL)};
    return !server->store || feed_start(&settings, &server->feed, error);
}

bool server_open(const struct options *options, struct server **ret_server, struct error *error)
{
    struct server *server = calloc(1, sizeof *server);
    if (!server)
        return error_set_memory(error);
    server->options = options;
    pthread_mutex_init(&server->live_lock, NULL);
    server->arena = arena_new();
    if (!server->arena)
        error_set_memory(error);
    urls_begin(server);
    if (server->arena && counters_begin(server, error) && pool_begin(server, error) &&
        gate_begin(server, error) && cors_begin(server, error) &&
        cache_store_open(options, server->arena, server->counters, &server->store, error) &&
        queue_begin(server, error) && limiter_begin(server, error) && memory_begin(server, error) &&
        body_tag_key(options, &server->etag_key, error) &&
        bearer_open(options, &server->auth, error) && routes_begin(server, error) &&
        feed_begin(server, error) && chores_start(server, &server->chores, error)) {
        *ret_server = server;
        return true;
    }
    server_close(server);
    return false;
}

void server_close(struct server *server)
{
    if (!server)
        return;
    atomic_store(&server->ending, true);
    chores_stop(server->chores);
    feed_stop(server->feed);
    if (server->pool)
        db_pool_struck_tell(server->pool);
    live_unref(server->live);
    db_pool_free(server->pool);
    memory_free(server->memory);
    flights_free(server->flights);
    cache_store_free(server->store);
    limiter_free(server->limiter);
    gate_free(server->gate);
    queue_watcher_stop(server->watcher);
    queue_events_free(server->events);
    queue_free(server->queue);
    cors_free(server->cors);
    networks_free(server->proxies);
    urls_close(server->urls);
    clocks_close(server->clocks);
    digest_key_free(server->etag_key);
    auth_free(server->auth);
    counters_close(server->counters);
    arena_free(server->arena);
    pthread_mutex_destroy(&server->live_lock);
    free(server);
}

struct live *server_live(struct server *server)
{
    pthread_mutex_lock(&server->live_lock);
    struct live *live = live_ref(server->live);
    pthread_mutex_unlock(&server->live_lock);
    return live;
}

bool server_serves(struct server *server, const struct live *live)
{
    pthread_mutex_lock(&server->live_lock);
    bool serves = server->live == live;
    pthread_mutex_unlock(&server->live_lock);
    return serves;
}

static void publish(struct server *server, struct live *live)
{
    pthread_mutex_lock(&server->live_lock);
    struct live *old = server->live;
    server->live = live;
    server->outdated_looked = false;
    pthread_mutex_unlock(&server->live_lock);
    live_unref(old);
}

static bool reload(struct server *server, struct fault_list *faults)
{
    struct live *live = load(server, faults);
    if (!live)
        return false;
    learn_aloud(server, live, faults);
    if (faults->count || asked_to_end(server)) {
        live_unref(live);
        return false;
    }
    publish(server, live);
    db_pool_forget_prepared(server->pool);
    return true;
}

static void reload_aloud(struct server *server)
{
    struct arena *arena = arena_new();
    struct fault_list faults = {.arena = arena};
    if (arena && reload(server, &faults)) {
        counters_add(server->counters, COUNTER_RELOADS, 1);
        log_event(LOG_INFO, "reload", "%zu routes loaded anew from %s", live_count(server->live),
                  options_text(server->options, OPTION_ROUTES));
    } else if (faults.count == 0 && asked_to_end(server)) {
        log_event(LOG_INFO, "reload", "given up, for the end: the old routes stay");
    } else {
        counters_add(server->counters, COUNTER_RELOAD_FAILURES, 1);
        fault_log(LOG_ERROR, "route", &faults);
        log_event(LOG_ERROR, "reload", "%zu fault%s: the old routes stay", faults.count,
                  faults.count == 1 ? "" : "s");
    }
    fault_list_free(&faults);
    arena_free(arena);
}

void server_reload(struct server *server)
{
    atomic_store(&server->reload_wanted, true);
}

static void tick_reload(struct server *server)
{
    if (!atomic_exchange(&server->reload_wanted, false))
        return;
    server->reloading = true;
    reload_aloud(server);
    server->reloading = false;
}

void server_drain(struct server *server)
{
    int64_t drain = options_number(server->options, OPTION_STREAM_DRAIN);
    atomic_store(&server->ending, true);
    atomic_store(&server->downloads_until, clock_monotonic() + drain);
}

static void tick_installed(struct server *server)
{
    const struct db_settings settings = db_settings_of(server->options, LEARN_TIMEOUT);
    struct db_connection *connection;
    struct db_failure failure;
    int64_t now = clock_monotonic();
    if (!installed_due(server, now) ||
        !db_connect(&settings, now + LEARN_CONNECT_TIMEOUT, &connection, &failure))
        return;
    installed_ask(server, connection);
    db_disconnect(connection);
}

/* How long a primary that could not be reached is left alone: µs. */
#define PRIMARY_PAUSE INT64_C(1000000)

static void tick_primary(struct server *server)
{
    int64_t now = clock_monotonic();
    if (now < server->primary_next)
        return;
    db_pool_seek_primary(server->pool, now + LEARN_CONNECT_TIMEOUT);
    server->primary_next = clock_monotonic() + PRIMARY_PAUSE;
}

void server_tick(struct server *server)
{
    tick_resolve(server);
}

void server_routes_tick(struct server *server)
{
    static void (*const ticks[])(struct server * server) = {
        tick_reload, tick_primary, learning_tick, tick_installed, outdated_tick};
    for (size_t i = 0; i < ARRAY_COUNT(ticks) && !atomic_load(&server->ending); i++)
        ticks[i](server);
}
