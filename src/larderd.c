/*
 * larderd: the daemon. Turns committed changes into invalidations until SIGTERM.
 */
#include "base/log.h"
#include "base/setup.h"
#include "base/standard.h"
#include "serve/settings.h"
#include "work/daemon.h"

static const char usage[] =
    "usage: larderd\n"
    "The daemon of invalidations: hears of every change that \"larder install\" made\n"
    "PostgreSQL tell, and makes the cached answers old that it concerns. It runs the\n"
    "jobs and makes the queued writes that lie in LARDER_QUEUE. It is configured by\n"
    "the environment: \"larder config\" shows every option.\n";

int main(int count, char **arguments)
{
    struct options options;
    struct error error;
    standard_fill();
    if (count > 1)
        return standard_answer("larderd", arguments[1], usage);
    if (!setup_configure(&options))
        return 2;
    if (!settings_check(&options, &error)) {
        log_event(LOG_ERROR, "config", "%s", error.text);
        return 2;
    }
    if (!daemon_run(&options, &error)) {
        log_event(LOG_ERROR, "start", "%s", error.text);
        return error.kind == ERROR_INVALID ? 2 : 1;
    }
    return 0;
}
