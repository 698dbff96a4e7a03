/*
 * /jobs/{id}: the page of a job, for whoever filed it. GET tells what has become of it, at once,
 * when there is news (Prefer: wait=n), or all along (text/event-stream); DELETE cancels it.
 *
 * An exchange that asks for one is WATCHING until it is settled or sent.
 */
#ifndef LARDER_SERVE_QUEUE_PAGE_H
#define LARDER_SERVE_QUEUE_PAGE_H

#include "cache/entry.h"
#include "queue/look.h"
#include "serve/exchange.h"
#include "serve/queue_event.h"
#include "serve/queue_watcher.h"

/* What its methods are: bits 1 << METHOD_x. */
#define QUEUE_PAGE_METHODS (1u << METHOD_GET | 1u << METHOD_DELETE)

enum queue_watch_kind {
    QUEUE_WATCH_ONCE,
    QUEUE_WATCH_WAIT,   /* until it has ended, or is no longer as If-None-Match has it */
    QUEUE_WATCH_EVENTS, /* until it has ended, with an event for each change */
};

struct queue_watch {
    enum queue_watch_kind kind;
    struct queue_look look;
    struct queue_watcher_mark mark; /* of before the last look */
    bool admitted;                  /* has a place among those who may wait */
    bool alone;                     /* may not wait any more: answered as things are */
    bool filed;                     /* by this exchange, whose answer is the job's own */
    bool again;                     /* … in fact by an earlier one */
    bool opened;                    /* of QUEUE_WATCH_EVENTS: the head is sent */
    int64_t wait;                   /* of QUEUE_WATCH_WAIT: seconds */
    int64_t until; /* monotonic µs: how long it waits; of QUEUE_WATCH_EVENTS the next sign of life,
                      or how long its reader may take nothing */
    struct bytes text;            /* the job's, of the last look */
    char tag[ENTRY_TAG_MAX + 1];  /* of the text */
    char told[ENTRY_TAG_MAX + 1]; /* of QUEUE_WATCH_EVENTS: of the last event */
    struct queue_event *event;    /* that is being sent; null: none, or a sign of life */
    struct span rest;             /* what its reader has not taken yet, of head or event */
    bool last;                    /* nothing comes after it */
};

/* The path's segments: is this the page of a job? */
bool queue_page_is(const struct exchange *exchange, const struct span *segments, size_t count);

/* Settles, or makes the exchange WATCHING. */
void queue_page_begin(struct exchange *exchange, struct span id);

/*
 * The exchange has filed this job and is settled with that, but its client is ready to wait:
 * WATCHING, unless memory is out. When the job has ended in time the exchange is settled with the
 * job's own answer, else as it was. `again`: an earlier request had filed it.
 */
void queue_page_wait(struct exchange *exchange, const char *id, bool again);

/*
 * After a look: settles, sends, or (true) is to wait until watch->until. Nobody waits for a reader:
 * what he does not take at once is written on when there is room.
 */
MUST_CHECK bool queue_page_go_on(struct exchange *exchange);

#endif
