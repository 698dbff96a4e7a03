/*
 * Hands: they do what takes time, queries and large bodies, and refresh answers in the background.
 */
#include "base/clock.h"
#include "serve/crew.h"
#include "serve/steps.h"

/* The next job for a hand; null when none will come any more. */
static struct job *job_wait(struct member *member)
{
    struct crew *crew = member->crew;
    pthread_mutex_lock(&crew->lock);
    while (!crew->waiting.first && !crew->closed) {
        crew_give_way(member);
        crew_rest(member);
    }
    struct job *job = job_list_take(&crew->waiting);
    pthread_mutex_unlock(&crew->lock);
    return job;
}

void crew_settle(struct member *member)
{
    struct server *server = member->crew->server;
    struct error event = {0};
    if (!server->store)
        return;
    cache_store_settle(server->store, member->tools.redis,
                       options_number(server->options, OPTION_REDIS_TIMEOUT), &event);
    exchange_redis_event(&event);
}

/* The exchange, answered and detached, seeks anew: only what it asks for is left of it. */
static void refresh_begin(struct exchange *exchange)
{
    redis_reply_free(exchange->reply);
    kept_unref(exchange->kept);
    exchange->reply = NULL;
    exchange->kept = NULL;
    exchange->meta = (struct entry_meta){0};
    for (enum coding coding = 0; coding < CODING_COUNT; coding++)
        exchange->bodies[coding] = (struct span){0};
    exchange->phase = PHASE_SEEKING;
    exchange->now = exchange->lookup.now = clock_wall();
    exchange->redis_budget = options_number(exchange->server->options, OPTION_REDIS_TIMEOUT);
}

static void refresh(struct member *member, struct job *job)
{
    struct exchange *exchange = job_exchange(job);
    bool leased = exchange->refresh == REFRESH_LEASED;
    job_lend(job, &member->tools);
    refresh_begin(exchange);
    if (leased || step_take_lease(exchange)) {
        exchange->refresh = REFRESH_NONE;
        counters_add(exchange->server->counters, COUNTER_REFRESHES, 1);
        steps_walk(exchange, PART_FILL);
    }
    job_end(job);
    crew_give_back(member->crew, job);
}

void *hand_run(void *argument)
{
    struct member *member = argument;
    struct job *job;
    while ((job = job_wait(member))) {
        job_lend(job, &member->tools);
        if (job_exchange(job)->refresh && !job_exchange(job)->writer)
            refresh(member, job);
        else
            crew_answer(member, job);
        crew_ring(member);
        crew_settle(member);
    }
    return NULL;
}
