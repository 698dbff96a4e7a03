#include "serve/worker.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "db/write.h"
#include "queue/bell.h"
#include "serve/crew.h"
#include "serve/queue_page.h"
#include "serve/steps.h"
#include "serve/strike.h"

/* A thread's stack: the deepest is libpq's and brotli's, well under half of it. */
#define STACK_SIZE ((size_t)512 * 1024)

/* Empty jobs kept for the next requests. */
#define SPARE_MAX 64

/* More fronts than this only share the same round trips among more switches of thread. */
#define FRONTS_MIN 2
#define FRONTS_MAX 4

struct job *crew_take(struct crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    struct job *job = job_list_take(&crew->spare);
    crew->active++;
    pthread_mutex_unlock(&crew->lock);
    if (!job)
        job = job_new(crew->server);
    if (!job)
        crew_give_back(crew, NULL);
    return job;
}

void crew_give_back(struct crew *crew, struct job *job)
{
    pthread_mutex_lock(&crew->lock);
    bool keep = job && crew->spare.count < SPARE_MAX;
    if (keep)
        job_list_append(&crew->spare, job);
    if (--crew->active == 0)
        pthread_cond_signal(&crew->resting);
    pthread_mutex_unlock(&crew->lock);
    if (!keep)
        job_free(job);
}

/* Off the stack; the crew is locked. */
static void hand_leave(struct crew *crew, struct member *hand)
{
    struct member **at = &crew->hands;
    while (*at != hand)
        at = &(*at)->next;
    *at = hand->next;
    hand->resting = false;
}

/* The last to have worked is called first: what it needs is still near the processor. */
void crew_rest(struct member *hand)
{
    struct crew *crew = hand->crew;
    hand->next = crew->hands;
    crew->hands = hand;
    hand->resting = true;
    pthread_cond_wait(&hand->called, &crew->lock);
    if (hand->resting)
        hand_leave(crew, hand);
}

/* Takes one off the stack, if there is any; the crew is locked. */
static struct member *hand_take(struct crew *crew)
{
    struct member *hand = crew->hands;
    if (hand)
        hand_leave(crew, hand);
    return hand;
}

void crew_hand_over(struct crew *crew, struct job *job)
{
    pthread_mutex_lock(&crew->lock);
    job_list_append(&crew->waiting, job);
    struct member *hand = hand_take(crew);
    pthread_mutex_unlock(&crew->lock);
    if (hand)
        pthread_cond_signal(&hand->called);
}

bool crew_is_download(const struct job *job)
{
    const struct exchange *exchange = job_exchange_const(job);
    return exchange->phase == PHASE_SEEKING && exchange->served->route->stream.format_count;
}

/* Before its client can know that it is over, who may ask for the next one at once. */
static void download_ended(struct crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    crew->downloads--;
    pthread_mutex_unlock(&crew->lock);
}

static size_t hand_count(const struct crew *crew)
{
    return crew->count - crew->front_count - 1;
}

bool crew_hand_download(struct crew *crew, struct job *job)
{
    pthread_mutex_lock(&crew->lock);
    bool taken = crew->downloads < hand_count(crew);
    crew->downloads += taken;
    pthread_mutex_unlock(&crew->lock);
    if (taken)
        crew_hand_over(crew, job);
    return taken;
}

/* The crew is locked. */
static void hands_call_all(struct crew *crew)
{
    for (struct member *hand = crew->hands; hand; hand = hand->next)
        pthread_cond_signal(&hand->called);
}

void crew_wake(struct crew *crew, struct job_list *jobs)
{
    pthread_mutex_lock(&crew->lock);
    job_list_join(&crew->woken, jobs);
    pthread_mutex_unlock(&crew->lock);
    pthread_cond_signal(&crew->rung);
}

void crew_queue(struct crew *crew, struct job *job)
{
    pthread_mutex_lock(&crew->lock);
    job_list_append(&crew->queued, job);
    pthread_mutex_unlock(&crew->lock);
    pthread_cond_signal(&crew->rung);
}

void crew_fill(struct member *member, struct job *job)
{
    struct exchange *exchange = job_exchange(job);
    job_lend(job, &member->tools);
    if (!exchange->sought && (exchange->asks || exchange->phase == PHASE_SEEKING))
        steps_walk(exchange, PART_FILL);
    exchange->sought = true;
}

/* Another thread's ring since then was for these as well. */
void crew_ring(struct member *member)
{
    struct crew *crew = member->crew;
    if (!member->filed_first)
        return;
    member->filed_first = 0;
    if (atomic_load(&crew->bell_rung) > member->filed_last)
        return;
    atomic_store(&crew->bell_rung, clock_monotonic());
    queue_bell_ring(crew->server->queue, member->tools.queue, false);
}

static void filed_note(struct member *member)
{
    member->filed_last = clock_monotonic();
    if (!member->filed_first)
        member->filed_first = member->filed_last;
}

void crew_answer(struct member *member, struct job *job)
{
    struct crew *crew = member->crew;
    struct exchange *exchange = job_exchange(job);
    bool download = crew_is_download(job);
    crew_fill(member, job);
    if (exchange->phase == PHASE_WATCHING && exchange->watch->filed) {
        struct job_list watching = {0};
        job_list_append(&watching, job);
        crew_wake(crew, &watching);
        return;
    }
    steps_walk(exchange, PART_ANSWER);
    bool refresh = exchange->refresh && exchange_detach(exchange);
    if (download)
        download_ended(crew);
    job_answered(job, crew->listener);
    if (exchange->filed)
        filed_note(member);
    strike_settle(exchange);
    if (refresh) {
        crew_hand_over(crew, job);
        return;
    }
    uint64_t transaction = exchange->transaction;
    job_end(job);
    if (transaction)
        db_pool_struck(crew->server->pool, &transaction, 1);
    crew_give_back(crew, job);
}

bool crew_alone(struct crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    bool alone = crew->active == 1;
    pthread_mutex_unlock(&crew->lock);
    return alone;
}

bool crew_busy(const struct member *member)
{
    struct crew *crew = member->crew;
    pthread_mutex_lock(&crew->lock);
    bool active = crew->active > 0;
    pthread_mutex_unlock(&crew->lock);
    return active;
}

void crew_relieve(struct member *member)
{
    struct crew *crew = member->crew;
    db_pool_drop_idle(crew->server->pool);
    pthread_mutex_lock(&crew->lock);
    crew->reliefs++;
    crew_give_way(member);
    hands_call_all(crew);
    pthread_mutex_unlock(&crew->lock);
    pthread_cond_signal(&crew->rung);
}

void crew_give_way(struct member *member)
{
    if (member->reliefs == member->crew->reliefs)
        return;
    member->reliefs = member->crew->reliefs;
    if (member->tools.redis)
        redis_disconnect(member->tools.redis);
    if (member->tools.limits)
        redis_disconnect(member->tools.limits);
    if (member->tools.queue)
        redis_disconnect(member->tools.queue);
}

/* One a processor; two at least, so that a peer that breaks off can't hold the only one. */
static size_t front_count(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (processors < FRONTS_MIN)
        return FRONTS_MIN;
    return processors > FRONTS_MAX ? FRONTS_MAX : (size_t)processors;
}

static const struct thread_kind front = {.name = "front", .run = front_run, .stack = STACK_SIZE};
static const struct thread_kind usher = {.name = "usher", .run = usher_run, .stack = STACK_SIZE};
static const struct thread_kind hand = {.name = "hand", .run = hand_run, .stack = STACK_SIZE};

static bool member_start(struct crew *crew, size_t index, struct error *error)
{
    struct member *member = &crew->members[index];
    const struct thread_kind *kind = index < crew->front_count    ? &front
                                     : index == crew->front_count ? &usher
                                                                  : &hand;
    member->crew = crew;
    pthread_cond_init(&member->called, NULL);
    if (!tools_make(crew->server, &member->tools)) {
        pthread_cond_destroy(&member->called);
        return error_set_memory(error);
    }
    if (thread_start(&member->thread, kind, member, error))
        return true;
    tools_free(&member->tools);
    pthread_cond_destroy(&member->called);
    return false;
}

static struct crew *crew_new(struct server *server, struct listener *listener, size_t hands)
{
    size_t fronts = front_count();
    struct crew *crew = calloc(1, sizeof *crew + (fronts + 1 + hands) * sizeof crew->members[0]);
    if (!crew)
        return NULL;
    crew->server = server;
    crew->listener = listener;
    crew->count = fronts + 1 + hands;
    crew->front_count = fronts;
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->resting, NULL);
    clock_condition_init(&crew->rung);
    server->crew = crew;
    server->wake = crew_wake;
    return crew;
}

bool crew_start(struct server *server, struct listener *listener, size_t hands,
                struct crew **ret_crew, struct error *error)
{
    struct crew *crew = crew_new(server, listener, hands);
    if (!crew)
        return error_set_memory(error);
    while (crew->started < crew->count && member_start(crew, crew->started, error))
        crew->started++;
    if (crew->started < crew->count) {
        listener_stop(listener);
        crew_join(crew);
        return false;
    }
    *ret_crew = crew;
    return true;
}

static void members_join(struct crew *crew, size_t from, size_t to)
{
    for (size_t i = from; i < to && i < crew->started; i++) {
        thread_join(&crew->members[i].thread);
        tools_free(&crew->members[i].tools);
    }
}

/* When all have ended: one hand may still be about to call another that was faster. */
static void members_free(struct crew *crew)
{
    for (size_t i = 0; i < crew->started; i++)
        pthread_cond_destroy(&crew->members[i].called);
}

/* The fronts end by the listener's stop; when no job is left the usher and the hands end. */
void crew_join(struct crew *crew)
{
    members_join(crew, 0, crew->front_count);
    queue_watcher_close(crew->server->watcher);
    pthread_mutex_lock(&crew->lock);
    while (crew->active && crew->started == crew->count)
        pthread_cond_wait(&crew->resting, &crew->lock);
    crew->closed = true;
    hands_call_all(crew);
    pthread_mutex_unlock(&crew->lock);
    pthread_cond_broadcast(&crew->rung);
    members_join(crew, crew->front_count, crew->count);
    /* The watcher's thread may have given the last job back, and be about to ring only now. */
    queue_watcher_stop(crew->server->watcher);
    crew->server->watcher = NULL;
    struct job *job;
    while ((job = job_list_take(&crew->spare)))
        job_free(job);
    members_free(crew);
    pthread_cond_destroy(&crew->rung);
    pthread_cond_destroy(&crew->resting);
    pthread_mutex_destroy(&crew->lock);
    free(crew);
}
