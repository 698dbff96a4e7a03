#include "serve/struck.h"

#include <pthread.h>
#include <stdlib.h>

/* As many wait at most: larderd sees to the others. */
#define WAITING_MAX 1024

struct struck {
    pthread_mutex_t lock;
    bool telling;
    size_t count;
    uint64_t waiting[WAITING_MAX];
};

struct struck *struck_new(void)
{
    struct struck *struck = calloc(1, sizeof *struck);
    if (struck)
        pthread_mutex_init(&struck->lock, NULL);
    return struck;
}

void struck_free(struct struck *struck)
{
    if (!struck)
        return;
    pthread_mutex_destroy(&struck->lock);
    free(struck);
}

#define BATCH 128

static size_t batch_take(struct struck *struck, uint64_t batch[static BATCH])
{
    size_t count = struck->count < BATCH ? struck->count : BATCH;
    struck->count -= count;
    memcpy(batch, struck->waiting + struck->count, count * sizeof *batch);
    return count;
}

void struck_tell(struct struck *struck, struct db_pool *pool, uint64_t transaction)
{
    uint64_t batch[BATCH];
    size_t count;
    pthread_mutex_lock(&struck->lock);
    if (struck->count < WAITING_MAX)
        struck->waiting[struck->count++] = transaction;
    if (!struck->telling) {
        struck->telling = true;
        while ((count = batch_take(struck, batch))) {
            pthread_mutex_unlock(&struck->lock);
            db_pool_struck(pool, batch, count);
            pthread_mutex_lock(&struck->lock);
        }
        struck->telling = false;
    }
    pthread_mutex_unlock(&struck->lock);
}
