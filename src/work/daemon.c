#include "config.h"

#include "work/daemon.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "work/aside.h"
#include "work/behind.h"
#include "work/feed.h"
#include "work/jobs.h"
#include "work/loop.h"
#include "work/refresh.h"
#include "work/routes.h"
#include "work/systemd.h"

/* How many seconds the end may take. */
#define PATIENCE 2

struct daemon {
    struct counters *counters;
    struct bumper *bumper;
    struct feed *feed;
    struct aside *aside;
    struct clocks *clocks;   /* null: nothing is refreshed */
    struct refresh *refresh; /* null: neither */
    struct arena *arena;     /* the texts of LARDER_QUEUE */
    struct queue *queue;     /* null: no writes are made later; so are the next five */
    struct db_pool *pool;
    struct routes *routes;
    struct behind *behind;
    struct striker *striker;
    struct jobs *jobs;  /* null besides: LARDER_WORKERS is 0 */
    const char *status; /* told last; the texts are constant */
};

static int64_t run_feed(void *context, int64_t now)
{
    struct daemon *daemon = context;
    return feed_poll(daemon->feed, now);
}

static int fd_of_feed(const void *context)
{
    const struct daemon *daemon = context;
    return feed_fd(daemon->feed);
}

static bool wake_feed(void *context)
{
    struct daemon *daemon = context;
    return feed_woken(daemon->feed);
}

static int64_t run_left(void *context, int64_t now)
{
    struct daemon *daemon = context;
    return feed_left(daemon->feed, now);
}

static int64_t run_forget(void *context, int64_t now)
{
    struct daemon *daemon = context;
    return feed_forget(daemon->feed, now);
}

static int64_t run_aside(void *context, int64_t now)
{
    struct daemon *daemon = context;
    int64_t due = aside_run(daemon->aside, feed_idle(daemon->feed), feed_behind(daemon->feed), now);
    feed_looked(daemon->feed, aside_looked(daemon->aside));
    return due;
}

static int fd_of_aside(const void *context)
{
    const struct daemon *daemon = context;
    return aside_fd(daemon->aside);
}

static bool wake_aside(void *context)
{
    struct daemon *daemon = context;
    return aside_woken(daemon->aside);
}

static int64_t run_status(void *context, int64_t now)
{
    struct daemon *daemon = context;
    const char *status = feed_status(daemon->feed);
    if (status != daemon->status)
        systemd_status(status);
    daemon->status = status;
    return now + 1000000;
}

static int64_t run_reload(void *context, int64_t now)
{
    struct daemon *daemon = context;
    if (loop_hung_up() && daemon->routes)
        routes_reload(daemon->routes);
    return now + 1000000;
}

static int64_t run_watchdog(void *context, int64_t now)
{
    int64_t interval = systemd_alive_interval();
    (void)context;
    if (interval == 0)
        return LOOP_NEVER;
    systemd_alive();
    return now + interval;
}

static const struct loop_task tasks[] = {
    {"feed", run_feed, fd_of_feed, wake_feed}, {"left", run_left, NULL, NULL},
    {"forget", run_forget, NULL, NULL},        {"aside", run_aside, fd_of_aside, wake_aside},
    {"status", run_status, NULL, NULL},        {"watchdog", run_watchdog, NULL, NULL},
    {"reload", run_reload, NULL, NULL},
};

static bool counters_begin(struct daemon *daemon, const struct options *options,
                           struct error *error)
{
    struct error reason;
    if (!counters_open(options_text(options, OPTION_RUN), &daemon->counters, &reason)) {
        log_event(LOG_WARNING, "counters",
                  "%s: larderd's counters are not in the responders' metrics (LARDER_RUN names a "
                  "folder all may write)",
                  reason.text);
        daemon->counters = counters_open_private();
    }
    return daemon->counters ? true : error_set_memory(error);
}

/* Without the memory of the host's responders nginx has the ttl alone. */
static bool refresh_begin(struct daemon *daemon, const struct options *options, struct error *error)
{
    struct error reason;
    const char *folder = options_text(options, OPTION_RUN);
    if (!*options_text(options, OPTION_NGINX))
        return true;
    if (clocks_open(folder, &daemon->clocks, &reason) &&
        refresh_start(options, daemon->counters, daemon->clocks, &daemon->refresh, &reason))
        return true;
    if (reason.kind == ERROR_INVALID)
        return error_set(error, ERROR_INVALID, "%s", reason.text);
    log_event(LOG_WARNING, "nginx", "%s: what nginx keeps is not refreshed", reason.text);
    return true;
}

static bool pool_begin(struct daemon *daemon, const struct options *options, struct error *error)
{
    const struct db_pool_settings settings = db_pool_settings_of(options);
    daemon->pool = db_pool_new(&settings, daemon->counters);
    return daemon->pool ? true : error_set_memory(error);
}

/* The writes that were queued. */
static bool later_begin(struct daemon *daemon, const struct options *options, struct error *error)
{
    daemon->arena = arena_new();
    if (!daemon->arena)
        return error_set_memory(error);
    if (!queue_open(options, daemon->arena, daemon->counters, &daemon->queue, error))
        return false;
    if (!daemon->queue)
        return true;
    if (!pool_begin(daemon, options, error) ||
        !routes_start(options, daemon->counters, daemon->pool, &daemon->routes, error) ||
        !striker_new(options, daemon->counters, &daemon->striker, error))
        return false;
    const struct behind_settings settings = {.options = options,
                                             .counters = daemon->counters,
                                             .queue = daemon->queue,
                                             .pool = daemon->pool,
                                             .routes = daemon->routes};
    const struct jobs_settings jobs = {.options = options,
                                       .counters = daemon->counters,
                                       .queue = daemon->queue,
                                       .pool = daemon->pool,
                                       .routes = daemon->routes,
                                       .striker = daemon->striker};
    return behind_start(&settings, &daemon->behind, error) &&
           jobs_start(&jobs, &daemon->jobs, error);
}

static bool daemon_open(struct daemon *daemon, const struct options *options, struct error *error)
{
    if (!*options_text(options, OPTION_REDIS))
        return error_set(
            error, ERROR_INVALID,
            "LARDER_REDIS is not set: without Redis there is nothing for larderd to do");
    if (!counters_begin(daemon, options, error) ||
        !bumper_new(options, daemon->counters, &daemon->bumper, error))
        return false;
    daemon->feed = feed_new(options, daemon->counters, daemon->bumper);
    daemon->aside = aside_new(options, daemon->counters, daemon->bumper);
    if (!daemon->feed || !daemon->aside)
        return error_set_memory(error);
    return refresh_begin(daemon, options, error) && later_begin(daemon, options, error);
}

/* Jobs that hang with a server that does not answer are left to the process' end. */
static void daemon_close(struct daemon *daemon)
{
    alarm(JOBS_STOP_SECONDS + PATIENCE);
    if (!jobs_stop(daemon->jobs))
        return;
    behind_stop(daemon->behind);
    routes_stop(daemon->routes);
    striker_free(daemon->striker);
    db_pool_free(daemon->pool);
    queue_free(daemon->queue);
    arena_free(daemon->arena);
    refresh_stop(daemon->refresh);
    clocks_close(daemon->clocks);
    aside_free(daemon->aside);
    feed_free(daemon->feed);
    bumper_free(daemon->bumper);
    counters_close(daemon->counters);
}

bool daemon_run(const struct options *options, struct error *error)
{
    struct daemon daemon = {0};
    srandom((unsigned)getpid() ^ (unsigned)clock_wall());
    if (!loop_signals(PATIENCE, error)) /* a SIGHUP that comes early must not end it */
        return false;
    bool done = daemon_open(&daemon, options, error);
    if (done) {
        log_event(LOG_INFO, "start", "larderd %s", PACKAGE_VERSION);
        systemd_ready();
        done = loop_run(tasks, ARRAY_COUNT(tasks), &daemon, error);
    }
    if (done) {
        log_event(LOG_INFO, "stop", "ending");
        systemd_stopping();
        feed_leave(daemon.feed);
    }
    daemon_close(&daemon);
    return done;
}
