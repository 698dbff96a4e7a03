#include "db/cancel.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/thread.h"

/* So many requests under way at most: a server that hangs must not gather threads. */
#define CANCELS_MAX 64

/* Whoever of the two is last to need it frees it. */
struct db_cancel {
    PGcancel *request;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool made;      /* the thread is done with it */
    bool abandoned; /* nobody waits for it */
};

static _Atomic int under_way;

static void cancel_free(struct db_cancel *cancel)
{
    PQfreeCancel(cancel->request);
    pthread_cond_destroy(&cancel->ended);
    pthread_mutex_destroy(&cancel->lock);
    free(cancel);
}

static void *cancel_run(void *argument)
{
    struct db_cancel *cancel = argument;
    char complaint[256];
    PQcancel(cancel->request, complaint, sizeof complaint);
    atomic_fetch_sub(&under_way, 1);
    pthread_mutex_lock(&cancel->lock);
    cancel->made = true;
    bool last = cancel->abandoned;
    pthread_cond_signal(&cancel->ended);
    pthread_mutex_unlock(&cancel->lock);
    if (last)
        cancel_free(cancel);
    return NULL;
}

static const struct thread_kind kind = {
    .name = "cancel", .run = cancel_run, .stack = THREAD_STACK_SMALL};

/* Null: memory, or the connection has nobody to ask. */
static struct db_cancel *cancel_new(struct db_connection *connection)
{
    struct db_cancel *cancel = calloc(1, sizeof *cancel);
    if (!cancel)
        return NULL;
    clock_condition_init(&cancel->ended);
    pthread_mutex_init(&cancel->lock, NULL);
    cancel->request = PQgetCancel(connection->handle);
    if (cancel->request)
        return cancel;
    cancel_free(cancel);
    return NULL;
}

struct db_cancel *db_cancel_begin(struct db_connection *connection)
{
    struct db_cancel *cancel = cancel_new(connection);
    if (!cancel)
        return NULL;
    if (atomic_fetch_add(&under_way, 1) < CANCELS_MAX && thread_start_alone(&kind, cancel, NULL))
        return cancel;
    atomic_fetch_sub(&under_way, 1);
    cancel_free(cancel);
    return NULL;
}

bool db_cancel_end(struct db_cancel *cancel, int64_t deadline)
{
    if (!cancel)
        return true;
    pthread_mutex_lock(&cancel->lock);
    while (!cancel->made && clock_condition_wait(&cancel->ended, &cancel->lock, deadline)) {
    }
    bool made = cancel->made;
    cancel->abandoned = !made;
    pthread_mutex_unlock(&cancel->lock);
    if (made)
        cancel_free(cancel);
    return made;
}
