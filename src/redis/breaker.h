/*
 * A circuit breaker: after BREAKER_FAILURES failures in a row nobody pays for a dead server; once
 * in every probe interval one caller tries it, and a success closes the breaker.
 *
 * Pure: time is passed in. One breaker serves all threads of a process (atomics, no lock).
 */
#ifndef LARDER_REDIS_BREAKER_H
#define LARDER_REDIS_BREAKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BREAKER_FAILURES 3

struct breaker {
    _Atomic int failures;       /* in a row */
    _Atomic int64_t next_probe; /* monotonic µs; while open nobody tries before */
    int64_t probe_interval;     /* µs */
};

void breaker_init(struct breaker *breaker, int64_t probe_interval);

/* True when the caller may try; while open, true for one caller in each probe interval. */
bool breaker_allows(struct breaker *breaker, int64_t now);

/* Returns true when this success closed the breaker. */
bool breaker_succeeded(struct breaker *breaker);

/* Returns true when this failure opened the breaker (to be logged once). */
bool breaker_failed(struct breaker *breaker, int64_t now);

bool breaker_is_open(const struct breaker *breaker);

#endif
