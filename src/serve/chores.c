#include "serve/chores.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "db/write.h"
#include "serve/bearer.h"
#include "serve/server.h"

#define PAUSE_MS 100

#define STACK_SIZE ((size_t)256 * 1024)

static void tell_struck(struct server *server)
{
    db_pool_struck_tell(server->pool);
}

/* Those who revoke a key count on it; larderd strikes anew what it is not told of in time. */
static const struct chore_row {
    const char *name; /* of the thread, 15 bytes at most */
    void (*run)(struct server *server);
} rows[] = {{"keys", bearer_tick}, {"struck", tell_struck}};

struct chore {
    const struct chore_row *row;
    const struct chores *chores;
    pthread_t thread;
};

struct chores {
    struct server *server;
    int stop; /* an eventfd: readable when it is time to end */
    size_t count;
    struct chore items[ARRAY_COUNT(rows)];
};

static void *chore_run(void *argument)
{
    const struct chore *chore = argument;
    struct pollfd polled = {.fd = chore->chores->stop, .events = POLLIN};
    while (poll(&polled, 1, PAUSE_MS) <= 0)
        chore->row->run(chore->chores->server);
    return NULL;
}

static bool chore_start(struct chores *chores, const struct chore_row *row)
{
    pthread_attr_t attributes;
    struct chore *chore = &chores->items[chores->count];
    *chore = (struct chore){.row = row, .chores = chores};
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    bool started = pthread_create(&chore->thread, &attributes, chore_run, chore) == 0;
    pthread_attr_destroy(&attributes);
    if (!started)
        return false;
    pthread_setname_np(chore->thread, row->name);
    chores->count++;
    return true;
}

bool chores_start(struct server *server, struct chores **ret_chores, struct error *error)
{
    struct chores *chores = calloc(1, sizeof *chores);
    if (!chores)
        return error_set_memory(error);
    chores->server = server;
    chores->stop = eventfd(0, EFD_CLOEXEC);
    bool started = chores->stop >= 0;
    for (size_t i = 0; started && i < ARRAY_COUNT(rows); i++)
        started = chore_start(chores, &rows[i]);
    if (!started) {
        chores_stop(chores);
        return error_set(error, ERROR_SYSTEM, "the threads of chores could not be started");
    }
    *ret_chores = chores;
    return true;
}

void chores_stop(struct chores *chores)
{
    if (!chores)
        return;
    if (chores->stop >= 0)
        eventfd_write(chores->stop, 1);
    for (size_t i = 0; i < chores->count; i++)
        pthread_join(chores->items[i].thread, NULL);
    if (chores->stop >= 0)
        close(chores->stop);
    free(chores);
}
