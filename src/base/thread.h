/*
 * Threads: begun in one way, named, and waited for where they were begun.
 */
#ifndef LARDER_BASE_THREAD_H
#define LARDER_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Enough for a thread that fills no answers: bytes. */
#define THREAD_STACK_SMALL ((size_t)256 * 1024)

struct thread_kind {
    const char *name; /* what the system shows of it: 15 bytes at most */
    void *(*run)(void *context);
    size_t stack; /* bytes; 0: the system's own, which is large */
};

/* All zeros: not begun. */
struct thread {
    pthread_t handle;
    bool started;
};

MUST_CHECK bool thread_start(struct thread *thread, const struct thread_kind *kind, void *context,
                             struct error *error);

/* Waits for its end; at once where it was not begun. */
void thread_join(struct thread *thread);

/*
 * One that nobody waits for. It is shown by the name of the thread that calls this, for it may be
 * over before it could be given its own.
 */
MUST_CHECK bool thread_start_alone(const struct thread_kind *kind, void *context,
                                   struct error *error);

#endif
