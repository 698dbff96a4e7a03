#include "serve/queue_watcher.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/thread.h"
#include "queue/names.h"
#include "redis/subscription.h"

/* A line silent for so long is asked, and given up after as much again: µs. */
#define SILENCE INT64_C(400000)

/* How often (ms) times are looked at while anybody waits, and while nobody does. */
#define LOOK_MS 50
#define LOOK_IDLE_MS 60000

/* How long news are listened to for nobody, as the next may come soon: µs. */
#define LINGER (2 * INT64_C(1000000))

/* Between attempts to subscribe, and how often those who wait look meanwhile: µs. */
#define PAUSE INT64_C(200000)
#define POLL INT64_C(1000000)

/* So long readers may still take what they are being sent, once nobody may wait any more: µs. */
#define FAREWELL (10 * INT64_C(1000000))

#define SLOTS 4096
#define EVENTS_MAX 64

/* A request that waits; in a list by the hash of its job. */
struct parked {
    struct parked *next;
    struct job *job;
    char id[QUEUE_ID_SIZE];
    uint64_t subscription; /* that its look was made under */
    int64_t since, until;  /* monotonic µs */
    uint64_t ticket;       /* tells it among all that ever waited, and its slot */
    int connection;        /* -1: none */
    bool writing;          /* waits for room in the connection */
};

struct queue_watcher {
    struct queue_watcher_settings settings;
    char channel[QUEUE_NAME_SIZE];
    struct thread thread;
    int epoll, rung; /* rung: an eventfd */
    pthread_mutex_t lock;
    bool closed, stopped;
    int64_t farewell; /* monotonic µs: of the closed, when nobody writes any more; else 0 */
    size_t admitted, count;
    struct hash_key secret;
    size_t held[SLOTS];    /* places of the signed-in whose owner has this hash under the secret */
    uint64_t subscription; /* 0: none; else how often there was one */
    uint64_t subscriptions, heard, tickets;
    uint64_t slots[SLOTS]; /* when a job of this hash was last heard of */
    struct parked *parked[SLOTS];
    /* The thread's own. */
    struct redis_subscription *line;
    int watched;                     /* the line's descriptor in the epoll; -1: none */
    int64_t attempt, wanted, looked; /* monotonic µs */
    uint64_t looked_under;           /* the subscription then */
    bool lost_told;
};

static size_t slot_of(struct span id)
{
    static const struct hash_key key = {{0}}; /* ids are random already */
    return (size_t)(hash_of(&key, id) % SLOTS);
}

static void ring(struct queue_watcher *watcher)
{
    eventfd_write(watcher->rung, 1);
}

static void connection_watch(struct queue_watcher *watcher, const struct parked *parked)
{
    uint32_t room = parked->writing ? EPOLLOUT : 0;
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT | room,
                                .data.u64 = parked->ticket};
    if (parked->connection >= 0)
        epoll_ctl(watcher->epoll, EPOLL_CTL_ADD, parked->connection, &event);
}

/* Takes it out of its list; the job is the caller's. Locked. */
static struct job *unpark(struct queue_watcher *watcher, struct parked **place)
{
    struct parked *parked = *place;
    struct job *job = parked->job;
    *place = parked->next;
    watcher->count--;
    if (parked->connection >= 0)
        epoll_ctl(watcher->epoll, EPOLL_CTL_DEL, parked->connection, NULL);
    free(parked);
    return job;
}

typedef bool wanted_one(const struct parked *parked, const void *argument);

static void slot_unpark(struct queue_watcher *watcher, size_t slot, wanted_one *wanted,
                        const void *argument, struct job_list *jobs)
{
    for (struct parked **place = &watcher->parked[slot]; *place;) {
        if (wanted(*place, argument))
            job_list_append(jobs, unpark(watcher, place));
        else
            place = &(*place)->next;
    }
}

static void all_unpark(struct queue_watcher *watcher, wanted_one *wanted, const void *argument,
                       struct job_list *jobs)
{
    for (size_t slot = 0; slot < SLOTS && watcher->count; slot++)
        slot_unpark(watcher, slot, wanted, argument, jobs);
}

static void wake(struct queue_watcher *watcher, struct job_list *jobs)
{
    if (jobs->first)
        watcher->settings.wake(watcher->settings.context, jobs);
}

/* Those who write go on when they have written. */
static bool is_idle(const struct parked *parked, const void *argument)
{
    (void)argument;
    return !parked->writing;
}

static bool is_of(const struct parked *parked, const void *id)
{
    return !parked->writing && strcmp(parked->id, id) == 0;
}

static bool has_ticket(const struct parked *parked, const void *ticket)
{
    return parked->ticket == *(const uint64_t *)ticket;
}

/* Times and subscription that decide whether a request goes on. */
struct moment {
    int64_t now, farewell;
    uint64_t subscription;
};

/* While nothing is heard each looks for itself. */
static bool is_due(const struct parked *parked, const void *argument)
{
    const struct moment *moment = argument;
    if (parked->writing)
        return parked->until <= moment->now ||
               (moment->farewell && moment->farewell <= moment->now);
    return parked->until <= moment->now ||
           (moment->subscription ? parked->subscription != moment->subscription
                                 : parked->since + POLL <= moment->now);
}

/* All of them are looked at, so not for every piece of news. */
static void wake_due(struct queue_watcher *watcher)
{
    struct job_list due = {0};
    pthread_mutex_lock(&watcher->lock);
    const struct moment moment = {clock_monotonic(), watcher->farewell, watcher->subscription};
    if (moment.now - watcher->looked >= LOOK_MS * 1000 / 2 ||
        moment.subscription != watcher->looked_under) {
        watcher->looked = moment.now;
        watcher->looked_under = moment.subscription;
        all_unpark(watcher, is_due, &moment, &due);
    }
    pthread_mutex_unlock(&watcher->lock);
    wake(watcher, &due);
}

/* His client has left, or takes more. */
static void wake_one(struct queue_watcher *watcher, uint64_t ticket)
{
    struct job_list left = {0};
    pthread_mutex_lock(&watcher->lock);
    slot_unpark(watcher, ticket % SLOTS, has_ticket, &ticket, &left);
    pthread_mutex_unlock(&watcher->lock);
    wake(watcher, &left);
}

/* "<id> <state>" */
static void hear(struct queue_watcher *watcher, struct span message)
{
    struct job_list concerned = {0};
    struct span id = span_split(&message, ' ');
    char text[QUEUE_ID_SIZE] = "";
    if (!queue_id_valid(id))
        return;
    memcpy(text, id.data, id.size);
    size_t slot = slot_of(id);
    pthread_mutex_lock(&watcher->lock);
    watcher->slots[slot] = ++watcher->heard;
    slot_unpark(watcher, slot, is_of, text, &concerned);
    pthread_mutex_unlock(&watcher->lock);
    wake(watcher, &concerned);
}

static void subscription_set(struct queue_watcher *watcher, bool subscribed)
{
    pthread_mutex_lock(&watcher->lock);
    watcher->subscription = subscribed ? ++watcher->subscriptions : 0;
    pthread_mutex_unlock(&watcher->lock);
}

/* A line that was closed has left the epoll with its descriptor. */
static void line_watch(struct queue_watcher *watcher)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0};
    watcher->watched = redis_subscription_fd(watcher->line);
    if (watcher->watched >= 0)
        epoll_ctl(watcher->epoll, EPOLL_CTL_ADD, watcher->watched, &event);
}

static void line_end(struct queue_watcher *watcher)
{
    subscription_set(watcher, false);
    redis_subscription_free(watcher->line);
    watcher->line = NULL;
    watcher->watched = -1;
}

static void lost(struct queue_watcher *watcher, const struct error *error)
{
    if (!watcher->lost_told)
        log_event(LOG_WARNING, "queue", "news of jobs are not heard: %s", error->text);
    watcher->lost_told = true;
    line_end(watcher);
}

static void subscribe(struct queue_watcher *watcher, int64_t now)
{
    struct error error;
    if (now - watcher->attempt < PAUSE)
        return;
    watcher->attempt = now;
    watcher->line = queue_subscription(watcher->settings.queue, SILENCE);
    if (!watcher->line)
        return;
    if (!redis_subscribe(watcher->line, span_of(watcher->channel), now + watcher->settings.timeout,
                         &error)) {
        lost(watcher, &error);
        return;
    }
    if (watcher->lost_told)
        log_event(LOG_INFO, "queue", "news of jobs are heard again");
    watcher->lost_told = false;
    line_watch(watcher);
    subscription_set(watcher, true);
}

/* All that has arrived. */
static void listen(struct queue_watcher *watcher)
{
    struct error error;
    struct redis_reply *message;
    struct span text;
    do {
        if (!redis_next_message(watcher->line, 0, &message, &text, &error)) {
            lost(watcher, &error);
            return;
        }
        if (message)
            hear(watcher, text);
        redis_reply_free(message);
    } while (message);
}

static bool anybody(struct queue_watcher *watcher)
{
    pthread_mutex_lock(&watcher->lock);
    bool waits = watcher->count;
    pthread_mutex_unlock(&watcher->lock);
    return waits;
}

/* There is a line while anybody waits, and a little longer. */
static void line_tend(struct queue_watcher *watcher)
{
    int64_t now = clock_monotonic();
    if (anybody(watcher))
        watcher->wanted = now;
    if (watcher->line && now - watcher->wanted > LINGER)
        line_end(watcher);
    else if (!watcher->line && watcher->wanted == now)
        subscribe(watcher, now);
    if (watcher->line)
        listen(watcher);
}

static bool has_stopped(struct queue_watcher *watcher)
{
    pthread_mutex_lock(&watcher->lock);
    bool stopped = watcher->stopped;
    pthread_mutex_unlock(&watcher->lock);
    return stopped;
}

/* The first two numbers are the bell's and the line's; the others are tickets. */
#define TICKET_FIRST 2

static void rest(struct queue_watcher *watcher)
{
    struct epoll_event events[EVENTS_MAX];
    eventfd_t rings;
    bool busy = watcher->line || anybody(watcher);
    int count = epoll_wait(watcher->epoll, events, EVENTS_MAX, busy ? LOOK_MS : LOOK_IDLE_MS);
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == 1)
            eventfd_read(watcher->rung, &rings);
        else if (events[i].data.u64 >= TICKET_FIRST)
            wake_one(watcher, events[i].data.u64);
    }
}

static void *watcher_run(void *argument)
{
    struct queue_watcher *watcher = argument;
    while (!has_stopped(watcher)) {
        line_tend(watcher);
        wake_due(watcher);
        rest(watcher);
    }
    return NULL;
}

static void watcher_free(struct queue_watcher *watcher)
{
    if (watcher->epoll >= 0)
        close(watcher->epoll);
    if (watcher->rung >= 0)
        close(watcher->rung);
    redis_subscription_free(watcher->line);
    pthread_mutex_destroy(&watcher->lock);
    free(watcher);
}

static struct queue_watcher *watcher_new(const struct queue_watcher_settings *settings)
{
    struct queue_watcher *watcher = calloc(1, sizeof *watcher);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 1};
    if (!watcher)
        return NULL;
    watcher->settings = *settings;
    watcher->tickets = TICKET_FIRST;
    watcher->watched = -1;
    pthread_mutex_init(&watcher->lock, NULL);
    queue_name(queue_prefix(settings->queue), QUEUE_KEY_NEWS, (struct span){0}, watcher->channel);
    watcher->epoll = epoll_create1(EPOLL_CLOEXEC);
    watcher->rung = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (watcher->epoll >= 0 && watcher->rung >= 0 &&
        getentropy(&watcher->secret, sizeof watcher->secret) == 0 &&
        epoll_ctl(watcher->epoll, EPOLL_CTL_ADD, watcher->rung, &event) == 0)
        return watcher;
    watcher_free(watcher);
    return NULL;
}

bool queue_watcher_start(const struct queue_watcher_settings *settings,
                         struct queue_watcher **ret_watcher, struct error *error)
{
    static const struct thread_kind kind = {
        .name = "jobs", .run = watcher_run, .stack = THREAD_STACK_SMALL};
    struct queue_watcher *watcher = watcher_new(settings);
    if (!watcher)
        return error_set_memory(error);
    if (!thread_start(&watcher->thread, &kind, watcher, error)) {
        watcher_free(watcher);
        return false;
    }
    *ret_watcher = watcher;
    return true;
}

void queue_watcher_close(struct queue_watcher *watcher)
{
    struct job_list all = {0};
    if (!watcher)
        return;
    pthread_mutex_lock(&watcher->lock);
    watcher->closed = true;
    watcher->farewell = clock_monotonic() + FAREWELL;
    all_unpark(watcher, is_idle, NULL, &all);
    pthread_mutex_unlock(&watcher->lock);
    wake(watcher, &all);
}

void queue_watcher_stop(struct queue_watcher *watcher)
{
    if (!watcher)
        return;
    pthread_mutex_lock(&watcher->lock);
    watcher->stopped = true;
    pthread_mutex_unlock(&watcher->lock);
    ring(watcher);
    thread_join(&watcher->thread);
    watcher_free(watcher);
}

/* Null: nobody is signed in. Two who share one are counted as one, which is seldom. */
static size_t *held_by(struct queue_watcher *watcher, struct span owner)
{
    return owner.size ? &watcher->held[hash_of(&watcher->secret, owner) % SLOTS] : NULL;
}

/* Locked. */
static bool has_place(const struct queue_watcher *watcher, const size_t *held)
{
    size_t most = watcher->settings.most;
    bool scarce = watcher->admitted > most / 2;
    return watcher->admitted < most && !(scarce && held && *held > most / 4);
}

/* Locked. */
static void places_add(struct queue_watcher *watcher, size_t *held, int change)
{
    watcher->admitted += (size_t)change;
    if (held)
        *held += (size_t)change;
    counters_add(watcher->settings.counters, COUNTER_JOB_WAITS, change);
}

bool queue_watcher_admit(struct queue_watcher *watcher, struct span owner)
{
    size_t *held = held_by(watcher, owner);
    pthread_mutex_lock(&watcher->lock);
    bool admitted = !watcher->closed && has_place(watcher, held);
    places_add(watcher, held, admitted);
    pthread_mutex_unlock(&watcher->lock);
    return admitted;
}

void queue_watcher_release(struct queue_watcher *watcher, struct span owner)
{
    pthread_mutex_lock(&watcher->lock);
    places_add(watcher, held_by(watcher, owner), -1);
    pthread_mutex_unlock(&watcher->lock);
}

struct queue_watcher_mark queue_watcher_mark(struct queue_watcher *watcher)
{
    pthread_mutex_lock(&watcher->lock);
    const struct queue_watcher_mark mark = {watcher->subscription, watcher->heard};
    pthread_mutex_unlock(&watcher->lock);
    return mark;
}

/* Locked. */
static void park(struct queue_watcher *watcher, struct parked *parked, size_t slot)
{
    parked->ticket = watcher->tickets++ * SLOTS + slot;
    parked->next = watcher->parked[slot];
    watcher->parked[slot] = parked;
    watcher->count++;
    connection_watch(watcher, parked);
}

enum queue_parking queue_watcher_park(struct queue_watcher *watcher, struct job *job,
                                      struct span id, struct queue_watcher_mark mark, int64_t until,
                                      int connection, bool writing)
{
    size_t slot = slot_of(id);
    struct parked *parked = calloc(1, sizeof *parked);
    if (!parked)
        return QUEUE_CLOSED;
    *parked = (struct parked){.job = job,
                              .subscription = mark.subscription,
                              .since = clock_monotonic(),
                              .until = until,
                              .connection = connection,
                              .writing = writing};
    memcpy(parked->id, id.data, id.size);
    pthread_mutex_lock(&watcher->lock);
    bool closed = watcher->closed && (!writing || watcher->farewell <= parked->since);
    bool missed = !writing && mark.subscription && mark.subscription == watcher->subscription &&
                  watcher->slots[slot] > mark.heard;
    enum queue_parking parking = closed ? QUEUE_CLOSED : missed ? QUEUE_CHANGED : QUEUE_PARKED;
    if (parking == QUEUE_PARKED)
        park(watcher, parked, slot);
    bool first = watcher->count == 1;
    pthread_mutex_unlock(&watcher->lock);
    if (parking != QUEUE_PARKED)
        free(parked);
    if (parking == QUEUE_PARKED && first)
        ring(watcher);
    return parking;
}
