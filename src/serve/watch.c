/*
 * Looking at jobs for a batch of requests, and parking those that wait.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/peer.h"
#include "serve/crew.h"
#include "serve/queue_page.h"
#include "serve/queue_write.h"

_Static_assert(LISTENER_BATCH <= QUEUE_LOOKS_MAX, "one round trip looks for a whole batch");

/* A job that could not be looked at is looked at again so soon: µs. */
#define LOOK_AGAIN INT64_C(1000000)

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

/* Does the request go on waiting? If not it has an answer, or a hand is to give it. */
static bool goes_on(struct exchange *exchange)
{
    struct queue_watch *watch = exchange->watch;
    watch->alone = watch->alone || (watch->admitted && peer_has_left(exchange->writer->peer));
    if (!queue_page_go_on(exchange))
        return false;
    if (watch->admitted)
        return true;
    watch->admitted = queue_watcher_admit(exchange->server->watcher, span_of(watch->look.owner));
    watch->alone = !watch->admitted;
    return queue_page_go_on(exchange);
}

/* Where a look failed the job's last news may have come already. */
static int64_t parked_until(const struct queue_watch *watch, bool writing)
{
    int64_t again = clock_monotonic() + LOOK_AGAIN;
    bool looked = watch->look.found != QUEUE_LOOK_AWAY;
    return writing || looked || watch->until < again ? watch->until : again;
}

/* True: it is no longer the caller's. */
static bool park(struct member *member, struct job *job)
{
    struct exchange *exchange = job_exchange(job);
    struct queue_watch *watch = exchange->watch;
    struct job_list changed = {0};
    bool writing = queue_writes(exchange);
    /* Once parked the job is another thread's. */
    switch (queue_watcher_park(exchange->server->watcher, job, span_of(watch->look.id), watch->mark,
                               parked_until(watch, writing), exchange->writer->peer, writing)) {
    case QUEUE_PARKED:
        return true;
    case QUEUE_CHANGED:
        job_list_append(&changed, job);
        crew_wake(member->crew, &changed);
        return true;
    case QUEUE_CLOSED:
        break;
    }
    if (writing) {
        queue_write_end(exchange, true);
        return false;
    }
    watch->alone = true;
    return queue_page_go_on(exchange) && park(member, job);
}

/* Goes on writing. True: the request is to be looked at again. */
static bool write_on(struct member *member, struct job *job, struct job **jobs, size_t *left)
{
    struct exchange *exchange = job_exchange(job);
    bool watching = queue_write_go_on(exchange);
    if (watching && queue_writes(exchange) && peer_has_left(exchange->writer->peer)) {
        queue_write_end(exchange, true);
        watching = false;
    }
    if (watching && !queue_writes(exchange))
        return true;
    if (!watching || !park(member, job))
        jobs[(*left)++] = job;
    return false;
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
        struct job *job = jobs[i];
        if (!watches(job_exchange(job), filed))
            jobs[left++] = job;
        else if (!queue_writes(job_exchange(job)) || write_on(member, job, jobs, &left))
            watching[found++] = job;
    }
    if (found)
        look(member, watching, found);
    for (size_t i = 0; i < found; i++)
        if (!goes_on(job_exchange(watching[i])) || !park(member, watching[i]))
            jobs[left++] = watching[i];
    return left;
}
