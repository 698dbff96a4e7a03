#include "db/cancel.h"

#include <pthread.h>
#include <stdatomic.h>

#define STACK_SIZE ((size_t)256 * 1024)

/* So many requests under way at most: a server that hangs must not gather threads. */
#define CANCELS_MAX 64

static _Atomic int under_way;

static void *cancel_run(void *argument)
{
    PGcancel *cancel = argument;
    char complaint[256];
    PQcancel(cancel, complaint, sizeof complaint);
    PQfreeCancel(cancel);
    atomic_fetch_sub(&under_way, 1);
    return NULL;
}

static bool thread_start(PGcancel *cancel)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    bool started = pthread_create(&thread, &attributes, cancel_run, cancel) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

void db_cancel(struct db_connection *connection)
{
    PGcancel *cancel = PQgetCancel(connection->handle);
    if (!cancel)
        return;
    if (atomic_fetch_add(&under_way, 1) < CANCELS_MAX && thread_start(cancel))
        return;
    atomic_fetch_sub(&under_way, 1);
    PQfreeCancel(cancel);
}
