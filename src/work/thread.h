/*
 * A thread of larderd's: begun once, named, waited for where it was begun.
 */
#ifndef LARDER_WORK_THREAD_H
#define LARDER_WORK_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "base/error.h"

/* All zeros: not begun. */
struct thread {
    pthread_t handle;
    bool started;
};

/* The name, of 15 bytes at most, is what the system shows of it. */
MUST_CHECK bool thread_start(struct thread *thread, const char *name, void *(*run)(void *context),
                             void *context, struct error *error);

/* Waits for its end; at once where it was not begun. */
void thread_join(struct thread *thread);

#endif
