/*
 * Looking at jobs for a batch of requests, and parking those that wait.
 */
#include <poll.h>

#include "base/clock.h"
#include "base/log.h"
#include "serve/crew.h"
#include "serve/queue_page.h"

_Static_assert(LISTENER_BATCH <= QUEUE_LOOKS_MAX, "one round trip looks for a whole batch");

/* Asks for all of them in one round trip. */
static void look(struct member *member, struct job *const *jobs, size_t count)
{
    struct server *server = member->crew->server;
    struct queue_look *looks[LISTENER_BATCH];
    struct error event = {0};
    int64_t budget = options_number(server->options, OPTION_REDIS_TIMEOUT);
    for (size_t i = 0; i < count; i++) {
        struct queue_watch *watch = job_exchange(jobs[i])->watch;
        watch->mark = queue_watcher_mark(server->watcher);
        looks[i] = &watch->look;
    }
    queue_look(server->queue, member->tools.queue, looks, count, clock_wall(), &budget, &event);
    if (event.text[0])
        log_event(event.kind == ERROR_NONE ? LOG_INFO : LOG_WARNING, "queue", "%s", event.text);
}

static bool has_left(int connection)
{
    struct pollfd polled = {.fd = connection, .events = POLLRDHUP};
    return connection >= 0 && poll(&polled, 1, 0) > 0;
}

/* Does the request go on waiting? If not it has an answer, or a hand is to give it. */
static bool goes_on(struct exchange *exchange)
{
    struct queue_watch *watch = exchange->watch;
    watch->alone = watch->alone || (watch->admitted && has_left(exchange->writer->peer));
    if (!queue_page_go_on(exchange))
        return false;
    if (watch->admitted)
        return true;
    watch->admitted = queue_watcher_admit(exchange->server->watcher);
    watch->alone = !watch->admitted;
    return queue_page_go_on(exchange);
}

/* True: it is no longer the caller's. */
static bool park(struct member *member, struct job *job)
{
    struct exchange *exchange = job_exchange(job);
    struct queue_watch *watch = exchange->watch;
    struct job_list changed = {0};
    /* Once parked the job is another thread's. */
    switch (queue_watcher_park(exchange->server->watcher, job, span_of(watch->look.id), watch->mark,
                               watch->until, exchange->writer->peer)) {
    case QUEUE_PARKED:
        return true;
    case QUEUE_CHANGED:
        job_list_append(&changed, job);
        crew_wake(member->crew, &changed);
        return true;
    case QUEUE_CLOSED:
        watch->alone = true;
        break;
    }
    return queue_page_go_on(exchange);
}

static bool watches(const struct exchange *exchange, bool filed)
{
    return exchange->phase == PHASE_WATCHING && (!filed || exchange->watch->filed);
}

size_t crew_watch(struct member *member, struct job **jobs, size_t count, bool filed)
{
    struct job *watching[LISTENER_BATCH];
    size_t found = 0, left = 0;
    for (size_t i = 0; i < count; i++) {
        if (watches(job_exchange(jobs[i]), filed))
            watching[found++] = jobs[i];
        else
            jobs[left++] = jobs[i];
    }
    if (found)
        look(member, watching, found);
    for (size_t i = 0; i < found; i++)
        if (!goes_on(job_exchange(watching[i])) || !park(member, watching[i]))
            jobs[left++] = watching[i];
    return left;
}
