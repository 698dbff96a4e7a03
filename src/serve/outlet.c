#include "serve/outlet.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cache/gzip.h"

/* A record of FastCGI holds no more. */
#define PIECE ((size_t)65528)

/* How often the time is looked at while the reader takes nothing, µs: from … to … */
#define LOOK_LEAST (INT64_C(200) * 1000)
#define LOOK_MOST (INT64_C(5) * 1000 * 1000)

struct outlet {
    struct outlet_terms terms;
    enum outlet_state state;
    int64_t opened;
    uint64_t sent;
    bool full;         /* the reader did not take all at once, and `full` was told */
    struct gzip *gzip; /* null: the body goes as it is */
    char *coded;       /* PIECE bytes; null without gzip */
    bool pending;      /* something was written since the last flush */
    size_t held;       /* of it, here and not with the coder */
    char plain[PIECE];
};

struct outlet *outlet_new(const struct outlet_terms *terms)
{
    struct outlet *outlet = malloc(sizeof *outlet);
    if (!outlet)
        return NULL;
    outlet->terms = *terms;
    outlet->state = OUTLET_OPEN;
    outlet->opened = 0;
    outlet->sent = 0;
    outlet->full = !terms->full;
    outlet->pending = false;
    outlet->held = 0;
    outlet->gzip = terms->gzip ? gzip_new() : NULL;
    outlet->coded = terms->gzip ? malloc(PIECE) : NULL;
    if (!terms->gzip || (outlet->gzip && outlet->coded))
        return outlet;
    outlet_free(outlet);
    return NULL;
}

void outlet_free(struct outlet *outlet)
{
    if (!outlet)
        return;
    gzip_free(outlet->gzip);
    free(outlet->coded);
    free(outlet);
}

enum outlet_state outlet_state(const struct outlet *outlet)
{
    return outlet->state;
}

bool outlet_holds(const struct outlet *outlet)
{
    return outlet->pending;
}

int64_t outlet_opened(const struct outlet *outlet)
{
    return outlet->opened;
}

uint64_t outlet_sent(const struct outlet *outlet)
{
    return outlet->sent;
}

static bool over_at(const struct outlet *outlet, int64_t now)
{
    int64_t end = atomic_load(outlet->terms.end);
    return now >= outlet->terms.until || (end && now >= end);
}

bool outlet_time_over(const struct outlet *outlet)
{
    return over_at(outlet, clock_monotonic());
}

/*
 * When to look at the time again, of a reader who took something last at `taken`. An end that is
 * set meanwhile comes no sooner than `notice` later. A hundred slow readers wake their threads a
 * hundred times as often as this says, and whatever else the machine serves waits meanwhile.
 */
static int64_t look_at(const struct outlet *outlet, int64_t now, int64_t taken)
{
    const struct outlet_terms *terms = &outlet->terms;
    int64_t end = atomic_load(terms->end);
    int64_t look = terms->notice > LOOK_MOST    ? LOOK_MOST
                   : terms->notice < LOOK_LEAST ? LOOK_LEAST
                                                : terms->notice;
    int64_t soonest = now + look;
    const int64_t known[] = {terms->until, taken + terms->stall, end ? end : soonest};
    for (size_t i = 0; i < ARRAY_COUNT(known); i++)
        soonest = known[i] < soonest ? known[i] : soonest;
    return soonest;
}

static void full(struct outlet *outlet)
{
    outlet->full = true;
    outlet->terms.full(outlet->terms.context);
}

/*
 * Waits for the reader again and again, so that an end of the time is seen though he takes nothing;
 * returns how much he took.
 */
static size_t send_patiently(struct outlet *outlet, struct span bytes)
{
    int64_t now = clock_monotonic(), taken = now;
    size_t all = bytes.size;
    while (outlet->state == OUTLET_OPEN && bytes.size) {
        size_t before = bytes.size;
        enum writer_outcome outcome = writer_send(outlet->terms.writer, &bytes,
                                                  outlet->full ? look_at(outlet, now, taken) : 0);
        if (outcome == WRITER_GONE)
            outlet->state = OUTLET_GONE;
        if (outcome != WRITER_LATE)
            continue;
        if (!outlet->full)
            full(outlet);
        now = clock_monotonic();
        if (bytes.size < before)
            taken = now;
        if (over_at(outlet, now))
            outlet->state = OUTLET_LATE;
        else if (now - taken >= outlet->terms.stall)
            outlet->state = OUTLET_STALLED;
    }
    return all - bytes.size;
}

static void deliver(struct outlet *outlet, struct span bytes)
{
    if (bytes.size == 0 || outlet->state != OUTLET_OPEN)
        return;
    if (!outlet->opened) {
        outlet->opened = clock_monotonic();
        send_patiently(outlet, outlet->terms.head);
    }
    outlet->sent += send_patiently(outlet, bytes);
}

/* Everything of `bytes`, and whatever the flush has the coder give. */
static void code(struct outlet *outlet, struct span bytes, enum gzip_flush flush)
{
    size_t size;
    do {
        size = gzip_write(outlet->gzip, &bytes, flush, outlet->coded, PIECE);
        deliver(outlet, (struct span){.data = outlet->coded, .size = size});
    } while (size == PIECE && outlet->state == OUTLET_OPEN);
}

static void pass(struct outlet *outlet, struct span bytes, enum gzip_flush flush)
{
    if (outlet->gzip)
        code(outlet, bytes, flush);
    else
        deliver(outlet, bytes);
    if (outlet->state == OUTLET_OPEN && outlet_time_over(outlet))
        outlet->state = OUTLET_LATE;
}

static void held_pass(struct outlet *outlet, enum gzip_flush flush)
{
    struct span held = {.data = outlet->plain, .size = outlet->held};
    outlet->held = 0;
    pass(outlet, held, flush);
}

void outlet_write(struct outlet *outlet, struct span bytes)
{
    outlet->pending = outlet->pending || bytes.size;
    while (bytes.size && outlet->state == OUTLET_OPEN) {
        if (outlet->held == PIECE)
            held_pass(outlet, GZIP_GATHER);
        if (!outlet->held && bytes.size >= PIECE) {
            pass(outlet, bytes, GZIP_GATHER);
            return;
        }
        size_t room = PIECE - outlet->held;
        size_t size = bytes.size < room ? bytes.size : room;
        memcpy(outlet->plain + outlet->held, bytes.data, size);
        outlet->held += size;
        bytes = span_from(bytes, size);
    }
}

void outlet_flush(struct outlet *outlet)
{
    if (outlet->pending)
        held_pass(outlet, GZIP_FLUSH);
    outlet->pending = false;
}

void outlet_end(struct outlet *outlet)
{
    held_pass(outlet, GZIP_END);
    if (outlet->state == OUTLET_OPEN && !outlet->opened) {
        outlet->opened = clock_monotonic();
        send_patiently(outlet, outlet->terms.head);
    }
}
