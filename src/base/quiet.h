/*
 * How often the log says again what may go on and on: once in ten seconds, however many threads
 * would. Lock-free; the time is passed in, so that a process that starts with its machine, when the
 * monotonic clock is near 0, is not silent at first.
 */
#ifndef LARDER_BASE_QUIET_H
#define LARDER_BASE_QUIET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define QUIET_TIME (10 * INT64_C(1000000)) /* µs */

/* All zeros: nothing was said yet. */
struct quiet {
    _Atomic int64_t said; /* monotonic µs; 0: never */
};

/* Is it to be said now? Who is told so says it. */
bool quiet_over(struct quiet *quiet, int64_t now);

#endif
