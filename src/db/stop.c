#include "db/stop.h"

#include <pthread.h>
#include <stdlib.h>

#include "db/round.h"

struct db_stop {
    pthread_mutex_t lock;
    PGcancel *running; /* null: nothing is */
};

struct db_stop *db_stop_new(void)
{
    struct db_stop *stop = calloc(1, sizeof *stop);
    if (stop)
        pthread_mutex_init(&stop->lock, NULL);
    return stop;
}

void db_stop_free(struct db_stop *stop)
{
    if (!stop)
        return;
    pthread_mutex_destroy(&stop->lock);
    free(stop);
}

/* Under the lock all the time, so that it can't strike what the connection runs next. */
void db_stop_fire(struct db_stop *stop)
{
    char message[256];
    pthread_mutex_lock(&stop->lock);
    if (stop->running)
        PQcancel(stop->running, message, sizeof message);
    pthread_mutex_unlock(&stop->lock);
}

void db_stop_begin(struct db_stop *stop, struct db_connection *connection)
{
    if (!stop)
        return;
    pthread_mutex_lock(&stop->lock);
    stop->running = PQgetCancel(connection->handle);
    pthread_mutex_unlock(&stop->lock);
}

void db_stop_end(struct db_stop *stop)
{
    if (!stop)
        return;
    pthread_mutex_lock(&stop->lock);
    PQfreeCancel(stop->running);
    stop->running = NULL;
    pthread_mutex_unlock(&stop->lock);
}
