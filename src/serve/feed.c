#include "serve/feed.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "cache/bump.h"
#include "cache/feed_message.h"

/* A line silent for so long is asked, and given up after as much again. */
#define SILENCE INT64_C(400000)

/* How often (ms) the line is looked at while nothing comes. */
#define LOOK_MS 100

/* How long (ms) to wait before the next attempt: doubled each time, less up to a half by chance. */
#define WAIT_FIRST 50
#define WAIT_LONGEST 1000

struct feed {
    struct feed_settings settings;
    struct thread thread;
    int stop; /* an eventfd: readable when it is time to end */
    char channel[CACHE_NAME_SIZE];
    struct redis_subscription *subscription;
    struct redis_connection *connection;
    struct feed_place place;
    bool beat_heard; /* but perhaps long ago, with more behind it */
    int64_t emptied; /* monotonic µs: what is read from now on came later than that */
    bool lost_told;
    _Atomic uint64_t floor;
    _Atomic int64_t beat; /* monotonic µs; 0: never */
};

static void count(struct feed *feed, enum counter counter, int64_t amount)
{
    counters_add(feed->settings.counters, counter, amount);
}

/* Waits for `milliseconds`, for the end, or for the line (-1: none); true: it is time to end. */
static bool rest(struct feed *feed, int line, int milliseconds)
{
    struct pollfd polled[] = {{.fd = feed->stop, .events = POLLIN}, {.fd = line, .events = POLLIN}};
    return poll(polled, ARRAY_COUNT(polled), milliseconds) > 0 && polled[0].revents;
}

static bool is_coherent(const struct feed *feed)
{
    return feed_floor(feed) != UINT64_MAX;
}

/* From here on what is in memory is good for the guard time only: all there is while Redis and
 * PostgreSQL are both away. */
static void coherence_end(struct feed *feed)
{
    if (!is_coherent(feed))
        return;
    atomic_store(&feed->floor, UINT64_MAX);
    count(feed, COUNTER_FEED_CONNECTED, -1);
}

/* What nginx keeps knows no floor: after a bump that perhaps no process of this host heard of, it
 * is all asked for anew. */
static void strike_all(struct feed *feed, uint64_t clock)
{
    clocks_bump(feed->settings.clocks, clocks_hash(SPAN_LITERAL(CACHE_TAG_ALL)), clock);
}

/*
 * While subscribed: what was missed is at most the clock of now, what comes follows the last bump.
 * That the host knows the last bump says nothing of those before, for its own writes, and what
 * its larderd bumps, are told it without the feed.
 * Nothing kept before may be believed: the clock of now can be lower than then.
 */
static bool coherence_begin(struct feed *feed, struct error *error)
{
    uint64_t clock, bump;
    if (!cache_clock_read(feed->connection, feed->settings.prefix,
                          clock_monotonic() + feed->settings.timeout, &clock, &bump, error))
        return false;
    if (clocks_heard(feed->settings.clocks) != bump)
        strike_all(feed, bump);
    clocks_hear(feed->settings.clocks, bump);
    clocks_see(feed->settings.clocks, clock); /* a strike that Redis is not told of is above it */
    if (feed->settings.memory)
        memory_clear(feed->settings.memory);
    feed->place = (struct feed_place){.last = bump};
    atomic_store(&feed->floor, clock);
    count(feed, COUNTER_FEED_CONNECTED, 1);
    return true;
}

static void apply(struct feed *feed, const struct feed_message *message)
{
    struct span tags = message->tags;
    while (tags.data)
        clocks_bump(feed->settings.clocks, clocks_hash(span_split(&tags, '\n')), message->number);
}

/* What can't be read could be a bump: it counts as missed. */
static enum feed_word hear(struct feed *feed, struct span text)
{
    struct feed_message message;
    count(feed, COUNTER_FEED_MESSAGES, 1);
    if (!feed_message_read(text, &message))
        return FEED_GAP;
    apply(feed, &message);
    feed->beat_heard = feed->beat_heard || !message.bump;
    enum feed_word word = feed_place_hear(&feed->place, &message);
    if (word == FEED_NEXT)
        clocks_hear(feed->settings.clocks, feed->place.last);
    return word;
}

static bool hear_in_order(struct feed *feed, struct span text, struct error *error)
{
    if (hear(feed, text) != FEED_GAP)
        return true;
    count(feed, COUNTER_FEED_GAPS, 1);
    strike_all(feed, clocks_newest(feed->settings.clocks));
    coherence_end(feed);
    return coherence_begin(feed, error);
}

/*
 * Takes one message, if there is one. A heartbeat counts when nothing is left behind it, and from
 * when it may have come: a process that was stopped finds old ones, changes after them, and
 * changes of which nobody told any more.
 */
static bool listen_once(struct feed *feed, bool *ret_more, struct error *error)
{
    struct redis_reply *message;
    struct span text;
    int64_t now = clock_monotonic();
    if (!redis_next_message(feed->subscription, 0, &message, &text, error))
        return false;
    bool good = !message || hear_in_order(feed, text, error);
    redis_reply_free(message);
    if (!message && feed->beat_heard) {
        atomic_store(&feed->beat, feed->emptied);
        feed->beat_heard = false;
    }
    if (!message)
        feed->emptied = now;
    *ret_more = message != NULL;
    return good;
}

/* Until the line is lost, or (true) it is time to end. */
static bool listen_on(struct feed *feed, struct error *error)
{
    bool more;
    while (listen_once(feed, &more, error))
        if (rest(feed, redis_subscription_fd(feed->subscription), more ? 0 : LOOK_MS))
            return true;
    return false;
}

static bool subscribe(struct feed *feed, struct error *error)
{
    feed->emptied = clock_monotonic();
    return redis_subscribe(feed->subscription, span_of(feed->channel),
                           clock_monotonic() + feed->settings.timeout, error) &&
           coherence_begin(feed, error);
}

static void tell_again(struct feed *feed)
{
    if (feed->lost_told)
        log_event(LOG_INFO, "feed", "changes are heard of again");
    feed->lost_told = false;
}

static void lose(struct feed *feed, const struct error *error)
{
    coherence_end(feed);
    feed->beat_heard = false;
    redis_disconnect(feed->connection);
    if (!feed->lost_told)
        log_event(LOG_WARNING, "feed", "changes are not heard of: %s", error->text);
    feed->lost_told = true;
}

static int shortened(int wait)
{
    uint32_t chance = 0;
    if (getentropy(&chance, sizeof chance) != 0)
        return wait;
    return wait - (int)(chance % (unsigned)(wait / 2 + 1));
}

static void *feed_run(void *argument)
{
    struct feed *feed = argument;
    int wait = WAIT_FIRST;
    for (bool ended = false; !ended;) {
        struct error error;
        if (subscribe(feed, &error)) {
            tell_again(feed);
            wait = WAIT_FIRST;
            ended = listen_on(feed, &error);
        }
        if (ended)
            break;
        lose(feed, &error);
        ended = rest(feed, -1, shortened(wait));
        wait = wait * 2 < WAIT_LONGEST ? wait * 2 : WAIT_LONGEST;
    }
    coherence_end(feed);
    return NULL;
}

static void feed_free(struct feed *feed)
{
    if (feed->stop >= 0)
        close(feed->stop);
    redis_subscription_free(feed->subscription);
    redis_connection_free(feed->connection);
    free(feed);
}

static struct feed *feed_new(const struct feed_settings *settings)
{
    struct feed *feed = calloc(1, sizeof *feed);
    if (!feed)
        return NULL;
    feed->settings = *settings;
    atomic_store(&feed->floor, UINT64_MAX);
    feed->stop = eventfd(0, EFD_CLOEXEC);
    feed->subscription = cache_store_subscription(settings->store, SILENCE);
    feed->connection = cache_store_connection(settings->store);
    if (feed->stop >= 0 && feed->subscription && feed->connection) {
        cache_feed_name(feed->connection, settings->prefix, feed->channel);
        return feed;
    }
    feed_free(feed);
    return NULL;
}

bool feed_start(const struct feed_settings *settings, struct feed **ret_feed, struct error *error)
{
    static const struct thread_kind kind = {
        .name = "feed", .run = feed_run, .stack = THREAD_STACK_SMALL};
    struct feed *feed = feed_new(settings);
    if (!feed)
        return error_set_memory(error);
    if (!thread_start(&feed->thread, &kind, feed, error)) {
        feed_free(feed);
        return false;
    }
    *ret_feed = feed;
    return true;
}

void feed_stop(struct feed *feed)
{
    if (!feed)
        return;
    eventfd_write(feed->stop, 1);
    thread_join(&feed->thread);
    feed_free(feed);
}

uint64_t feed_floor(const struct feed *feed)
{
    return feed ? atomic_load(&feed->floor) : UINT64_MAX;
}

bool feed_beats(const struct feed *feed, int64_t now)
{
    int64_t beat = feed ? atomic_load(&feed->beat) : 0;
    return beat && now - beat <= feed->settings.guard / 2;
}
