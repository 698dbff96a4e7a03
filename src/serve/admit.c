/*
 * Counting a batch of requests against their limits.
 */
#include "base/log.h"
#include "serve/crew.h"
#include "serve/steps.h"

_Static_assert(LISTENER_BATCH <= LIMITER_BATCH, "one round trip counts a whole batch");

static bool undecided(const struct exchange *exchange)
{
    return exchange->limits && exchange->limits->count &&
           exchange->limits->outcome == LIMITER_UNDECIDED;
}

static void limits_event(const struct error *event)
{
    if (event->text[0])
        log_event(event->kind == ERROR_NONE ? LOG_INFO : LOG_WARNING, "limits", "%s", event->text);
}

void crew_admit(struct member *member, struct job *const *jobs, size_t count)
{
    struct server *server = member->crew->server;
    struct limit_request *requests[LISTENER_BATCH];
    struct error event = {0};
    const int64_t allowed = options_number(server->options, OPTION_REDIS_TIMEOUT);
    int64_t budget = allowed - member->redis_waited, begun = budget;
    size_t asked = 0;
    for (size_t i = 0; i < count; i++) {
        struct exchange *exchange = job_exchange(jobs[i]);
        if (!undecided(exchange))
            continue;
        requests[asked++] = exchange->limits;
    }
    if (asked)
        limiter_decide(server->limiter, member->tools.limits, requests, asked, &budget, &event);
    crew_waited(member, begun - budget);
    limits_event(&event);
    for (size_t i = 0; i < count; i++) {
        job_exchange(jobs[i])->redis_waited = member->redis_waited;
        steps_walk(job_exchange(jobs[i]), PART_SEEK);
    }
}
