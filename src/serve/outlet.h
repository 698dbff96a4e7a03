/*
 * The body of a download on its way to a reader who may be slow.
 *
 * What is written is gathered, coded, and sent in large pieces. The head of the answer goes before
 * the first of them; until then nothing has been said to the client, and another answer can still
 * be given.
 */
#ifndef LARDER_SERVE_OUTLET_H
#define LARDER_SERVE_OUTLET_H

#include <stdint.h>

#include "base/compiler.h"
#include "serve/writer.h"

struct outlet;

struct outlet_terms {
    struct writer *writer;
    struct span head; /* the answer's; lives as long as the outlet */
    bool gzip;
    int64_t until;              /* monotonic µs: when the download must be over */
    const _Atomic int64_t *end; /* the same, for all there are; 0: not so far */
    int64_t notice;             /* µs from when that is set to that time, at least */
    int64_t stall;              /* µs that the reader may take nothing */
    /* Told once, before the reader is waited for the first time. Null: nobody. */
    void (*full)(void *context);
    void *context;
};

enum outlet_state {
    OUTLET_OPEN,
    OUTLET_GONE,    /* the reader is no longer there */
    OUTLET_STALLED, /* … or takes nothing */
    OUTLET_LATE,    /* the time is over */
};

/* Null: memory. */
struct outlet *outlet_new(const struct outlet_terms *terms) MUST_CHECK;
void outlet_free(struct outlet *outlet);

/* Whatever is not OPEN stays so, and nothing more is sent. */
enum outlet_state outlet_state(const struct outlet *outlet);

void outlet_write(struct outlet *outlet, struct span bytes);

/* Sends all that was written, so that the reader can read it now. */
void outlet_flush(struct outlet *outlet);

/* The same, and ends the body. */
void outlet_end(struct outlet *outlet);

/* Is there something that was written and not sent? */
bool outlet_holds(const struct outlet *outlet);

/* Is the time over, whatever the reader does? */
bool outlet_time_over(const struct outlet *outlet);

/* When the first byte went out, monotonic µs; 0: none has. */
int64_t outlet_opened(const struct outlet *outlet);

/* Bytes of the body that were sent, as coded. */
uint64_t outlet_sent(const struct outlet *outlet);

#endif
