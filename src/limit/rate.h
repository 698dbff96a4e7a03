/*
 * How often is too often: the generic cell rate algorithm (GCRA; ITU-T I.371, annex A).
 *
 * Each request costs an interval, period/count. What was spent and is not yet made up for is the
 * debt, in µs: it shrinks by the clock, and a request passes while one more interval keeps it at or
 * below what the burst allows. So exactly `burst` requests pass at once, then one an interval, and
 * there is no edge of a window at which twice as many could.
 *
 * Pure: time is in the debt.
 */
#ifndef LARDER_LIMIT_RATE_H
#define LARDER_LIMIT_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct rate {
    int64_t count, period, burst; /* requests, µs, requests */
    double interval;              /* µs a request costs */
    double most;                  /* the largest debt, µs */
};

struct rate rate_of(int64_t count, int64_t period, int64_t burst);

/* May one more pass? */
bool rate_passes(const struct rate *rate, double debt);

/* How many may pass at this moment. */
int64_t rate_remaining(const struct rate *rate, double debt);

/* µs until one may pass; 0: now. */
double rate_wait(const struct rate *rate, double debt);

#endif
