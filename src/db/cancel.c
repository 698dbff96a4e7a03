#include "db/cancel.h"

#include <pthread.h>
#include <stdlib.h>

#include "db/round.h"

struct db_cancel {
    pthread_mutex_t lock;
    PGcancel *running; /* null: nothing is */
};

struct db_cancel *db_cancel_new(void)
{
    struct db_cancel *cancel = calloc(1, sizeof *cancel);
    if (cancel)
        pthread_mutex_init(&cancel->lock, NULL);
    return cancel;
}

void db_cancel_free(struct db_cancel *cancel)
{
    if (!cancel)
        return;
    pthread_mutex_destroy(&cancel->lock);
    free(cancel);
}

/* Under the lock all the time, so that it can't strike what the connection runs next. */
void db_cancel_fire(struct db_cancel *cancel)
{
    char message[256];
    pthread_mutex_lock(&cancel->lock);
    if (cancel->running)
        PQcancel(cancel->running, message, sizeof message);
    pthread_mutex_unlock(&cancel->lock);
}

void db_cancel_begin(struct db_cancel *cancel, struct db_connection *connection)
{
    if (!cancel)
        return;
    pthread_mutex_lock(&cancel->lock);
    cancel->running = PQgetCancel(connection->handle);
    pthread_mutex_unlock(&cancel->lock);
}

void db_cancel_end(struct db_cancel *cancel)
{
    if (!cancel)
        return;
    pthread_mutex_lock(&cancel->lock);
    PQfreeCancel(cancel->running);
    cancel->running = NULL;
    pthread_mutex_unlock(&cancel->lock);
}
