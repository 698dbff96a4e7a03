/*
 * larder-fcgi: the FastCGI responder. Takes its listening socket from spawn-fcgi (descriptor 0) or
 * systemd (descriptor 3), serves until SIGTERM, loads its routes anew on SIGHUP.
 */
#include "config.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/setup.h"
#include "base/standard.h"
#include "serve/job.h"
#include "serve/settings.h"
#include "serve/worker.h"

#define SYSTEMD_FIRST_SOCKET 3

/* systemd's protocol (sd_listen_fds(3)): the variables are meant for the process they name. */
static int listening_socket(void)
{
    const char *process = getenv("LISTEN_PID");
    const char *count = getenv("LISTEN_FDS");
    if (process && count && strtol(process, NULL, 10) == (long)getpid() &&
        strtol(count, NULL, 10) >= 1)
        return SYSTEMD_FIRST_SOCKET;
    return STDIN_FILENO;
}

/* Memory of 32 threads: few arenas, and large blocks given back at once. */
static void allocator_tune(void)
{
    mallopt(M_ARENA_MAX, 4);
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    mallopt(M_TRIM_THRESHOLD, 512 * 1024);
}

/* Each kept connection is a descriptor: use all the system allows. */
static void descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void signals_block(sigset_t *ret_waited)
{
    sigemptyset(ret_waited);
    sigaddset(ret_waited, SIGTERM);
    sigaddset(ret_waited, SIGINT);
    sigaddset(ret_waited, SIGHUP);
    sigprocmask(SIG_BLOCK, ret_waited, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of its writer's */
}

/* Signals and the tick, in the main thread; returns when it is time to end. */
static void wait_for_end(struct server *server, const sigset_t *waited)
{
    const struct timespec tick = {.tv_nsec = 100 * 1000 * 1000};
    for (;;) {
        int signal_number = sigtimedwait(waited, NULL, &tick);
        if (signal_number == SIGTERM || signal_number == SIGINT)
            return;
        if (signal_number == SIGHUP)
            server_reload(server);
        else
            server_tick(server);
    }
}

static bool serve(struct server *server, struct listener *listener, const sigset_t *waited,
                  struct error *error)
{
    size_t threads = (size_t)options_number(server->options, OPTION_THREADS);
    struct crew *crew;
    if (!job_library_init(error) || !crew_start(server, listener, threads, &crew, error))
        return false;
    log_event(LOG_INFO, "start", "larder-fcgi %s serves %zu routes with %zu threads",
              PACKAGE_VERSION, live_count(server->live), threads);
    wait_for_end(server, waited);
    log_event(LOG_INFO, "stop", "ending when the requests in work are answered");
    listener_stop(listener);
    server_drain(server);
    crew_join(crew);
    return true;
}

static bool run(const struct options *options, const sigset_t *waited, struct error *error)
{
    struct listener *listener;
    struct server *server;
    if (!listener_new(listening_socket(), &listener, error))
        return false;
    bool done = server_open(options, &server, error);
    if (done) {
        listener_count_in(listener, server->counters);
        done = serve(server, listener, waited, error);
        server_close(server);
    }
    listener_free(listener);
    return done;
}

static const char usage[] =
    "usage: larder-fcgi\n"
    "The FastCGI responder; takes its socket from spawn-fcgi or systemd:\n"
    "  spawn-fcgi -n -s /run/larder/api.sock -- /usr/bin/larder-fcgi\n"
    "It is configured by the environment: \"larder config\" shows every option.\n";

int main(int count, char **arguments)
{
    struct options options;
    struct error error;
    sigset_t waited;
    standard_fill();
    if (count > 1)
        return standard_answer("larder-fcgi", arguments[1], usage);
    allocator_tune();
    descriptors_raise();
    signals_block(&waited);
    if (!setup_configure(&options))
        return 2;
    if (!settings_check(&options, &error)) {
        log_event(LOG_ERROR, "config", "%s", error.text);
        return 2;
    }
    if (!run(&options, &waited, &error)) {
        log_event(LOG_ERROR, "start", "%s", error.text);
        return 1;
    }
    return 0;
}
