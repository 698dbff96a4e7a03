/*
 * The daemon's main loop: tasks declared as a table, run when they are due or when what they listen
 * to is readable, one after another in one thread.
 */
#ifndef LARDER_WORK_LOOP_H
#define LARDER_WORK_LOOP_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define LOOP_TASKS_MAX 16
#define LOOP_NEVER INT64_MAX

/* One piece of periodic work. The functions get the context that loop_run was given. */
struct loop_task {
    const char *name;
    int64_t (*run)(void *context, int64_t now); /* returns when it is due again, monotonic µs */
    int (*fd)(const void *context); /* to be polled for input; -1: none now; null: never any */
    bool (*woken)(void *context);   /* input may have come: is `run` due at once? */
};

/*
 * Catches SIGTERM, SIGINT and SIGHUP from now on. Once asked to end, whatever does not come back
 * within `patience` seconds ends the process, with status 0: nothing here is lost by a sudden end.
 */
MUST_CHECK bool loop_signals(unsigned patience, struct error *error);

/* Was SIGHUP caught since it was asked last? */
bool loop_hung_up(void);

/*
 * Runs the tasks until SIGTERM or SIGINT comes, or came since loop_signals(); each is due at the
 * start.
 */
MUST_CHECK bool loop_run(const struct loop_task *tasks, size_t count, void *context,
                         struct error *error);

#endif
