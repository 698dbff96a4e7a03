#include "serve/chores.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/thread.h"
#include "db/write.h"
#include "serve/bearer.h"
#include "serve/server.h"

#define PAUSE_MS 100

static void tell_struck(struct server *server)
{
    db_pool_struck_tell(server->pool);
}

/* Those who revoke a key count on it; larderd strikes anew what it is not told of in time. */
static const struct chore_row {
    const char *name; /* of the thread, 15 bytes at most */
    void (*run)(struct server *server);
    size_t stack; /* bytes; 0: the system's own */
} rows[] = {{"keys", bearer_tick, THREAD_STACK_SMALL},
            {"struck", tell_struck, THREAD_STACK_SMALL},
            {"routes", server_routes_tick, 0}};

struct chore {
    const struct chore_row *row;
    const struct chores *chores;
    struct thread thread;
};

struct chores {
    struct server *server;
    int stop; /* an eventfd: readable when it is time to end */
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

static bool threads_start(struct chores *chores, struct error *error)
{
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct chore *chore = &chores->items[i];
        const struct thread_kind kind = {
            .name = rows[i].name, .run = chore_run, .stack = rows[i].stack};
        *chore = (struct chore){.row = &rows[i], .chores = chores};
        if (!thread_start(&chore->thread, &kind, chore, error))
            return false;
    }
    return true;
}

bool chores_start(struct server *server, struct chores **ret_chores, struct error *error)
{
    struct chores *chores = calloc(1, sizeof *chores);
    if (!chores)
        return error_set_memory(error);
    chores->server = server;
    chores->stop = eventfd(0, EFD_CLOEXEC);
    bool started =
        chores->stop < 0 ? error_set_errno(error, "eventfd") : threads_start(chores, error);
    if (!started) {
        chores_stop(chores);
        return false;
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
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        thread_join(&chores->items[i].thread);
    if (chores->stop >= 0)
        close(chores->stop);
    free(chores);
}
