/*
 * Downloads begin a few at a time.
 *
 * Until all buffers on its way are full a download is as much work as PostgreSQL, its responder and
 * the web server can have; from then on its reader sets the pace. Those that come at one moment are
 * therefore led through a gate in the order they came: whoever begins has one of a few passes. A
 * download that comes alone finds one at once.
 *
 * Invariant: a pass goes to the next in line when its holder gives it back or, at the latest,
 * `longest` after he got it. So nobody waits for a slow reader, or a slow statement.
 */
#ifndef LARDER_SERVE_GATE_H
#define LARDER_SERVE_GATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct gate;

/* So many passes, above 0; µs. Null: memory. */
struct gate *gate_new(size_t passes, int64_t longest) MUST_CHECK;

/* One whose downloads are as many at a time as the host has processors. Null: memory. */
struct gate *gate_of_host(void) MUST_CHECK;

/* When nobody is at it. Null is allowed. */
void gate_free(struct gate *gate);

/* Zero before its first use, which the gate makes of it; not moved or freed while one is at it. */
struct gate_pass {
    struct gate_pass *next;
    enum { GATE_OUTSIDE, GATE_WAITING, GATE_PASSED } place;
    pthread_cond_t called;
    int64_t until; /* monotonic µs: when it may go to the next in line */
};

/*
 * Waits for a pass; it is given back by gate_leave. False: whoever is at the other end of the
 * socket (base/peer.h) has left meanwhile, which is seen after a quarter of a second at most.
 */
MUST_CHECK bool gate_enter(struct gate *gate, int peer, struct gate_pass *ret_pass);

/* How many wait now. */
size_t gate_waiting(struct gate *gate);

/* Nothing, if it was never had, has been given back, or has gone to another. */
void gate_leave(struct gate *gate, struct gate_pass *pass);

#endif
