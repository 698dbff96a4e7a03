/*
 * larderd: the daemon. Turns committed changes into invalidations until SIGTERM.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/setup.h"
#include "base/standard.h"
#include "serve/settings.h"
#include "work/daemon.h"

static int answer_argument(const char *argument)
{
    if (strcmp(argument, "--version") == 0) {
        printf("larderd %s\n", PACKAGE_VERSION);
        return 0;
    }
    FILE *to = strcmp(argument, "--help") == 0 ? stdout : stderr;
    fprintf(to, "usage: larderd\n"
                "The daemon of invalidations: hears of every change that \"larder install\" made\n"
                "PostgreSQL tell, and makes the cached answers old that it concerns. It runs the\n"
                "jobs and makes the queued writes that lie in LARDER_QUEUE. It is configured by\n"
                "the environment: \"larder config\" shows every option.\n");
    return to == stdout ? 0 : 2;
}

int main(int count, char **arguments)
{
    struct options options;
    struct error error;
    standard_fill();
    if (count > 1)
        return standard_end("larderd", answer_argument(arguments[1]));
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
