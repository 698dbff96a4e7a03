#include "serve/queue_write.h"

#include <poll.h>

#include "base/clock.h"
#include "serve/queue_page.h"

/* After so long without an event its reader is given a sign of life: µs. */
#define BEAT (15 * INT64_C(1000000))

/* So long a reader of events may take nothing: µs. */
#define STALL_MOST (10 * INT64_C(1000000))

void queue_write_end(struct exchange *exchange, bool broken)
{
    exchange->phase = PHASE_SENT;
    exchange->status = 200;
    exchange->broken = broken;
    exchange->tier = TIER_REDIS;
}

bool queue_writes(const struct exchange *exchange)
{
    return exchange->watch->rest.size || exchange->watch->last;
}

/* So that the record that ends the request is not waited for either. */
static bool has_room(int connection)
{
    struct pollfd polled = {.fd = connection, .events = POLLOUT};
    return connection < 0 || poll(&polled, 1, 0) > 0;
}

static void written(struct exchange *exchange, int64_t now)
{
    struct queue_watch *watch = exchange->watch;
    queue_event_give_back(exchange->server->events, watch->event);
    watch->event = NULL;
    watch->until = now + BEAT;
    if (watch->last)
        queue_write_end(exchange, false);
}

bool queue_write_go_on(struct exchange *exchange)
{
    struct queue_watch *watch = exchange->watch;
    size_t before = watch->rest.size;
    bool gone = writer_send(exchange->writer, &watch->rest, 0) == WRITER_GONE;
    int64_t now = clock_monotonic();
    if (watch->rest.size < before)
        watch->until = now + STALL_MOST;
    bool all = !watch->rest.size && (!watch->last || has_room(exchange->writer->peer));
    if (gone || (!all && now >= watch->until))
        queue_write_end(exchange, true);
    else if (all)
        written(exchange, now);
    return exchange->phase == PHASE_WATCHING;
}

bool queue_write_begin(struct exchange *exchange, struct span bytes)
{
    exchange->watch->rest = bytes;
    exchange->watch->until = clock_monotonic() + STALL_MOST;
    return queue_write_go_on(exchange);
}
