#include "limit/rate.h"

/*
 * Intervals need not be whole µs, and sums of them are rounded: what lacks less than this is no
 * lack. It is far below the shortest interval, a nanosecond.
 */
#define ROUNDING 1e-4

struct rate rate_of(int64_t count, int64_t period, int64_t burst)
{
    double interval = (double)period / (double)count;
    return (struct rate){.count = count,
                         .period = period,
                         .burst = burst,
                         .interval = interval,
                         .most = interval * (double)burst};
}

bool rate_passes(const struct rate *rate, double debt)
{
    return debt + rate->interval <= rate->most + ROUNDING;
}

int64_t rate_remaining(const struct rate *rate, double debt)
{
    double left = (rate->most - debt + ROUNDING) / rate->interval;
    return left > 0 ? (int64_t)left : 0;
}

double rate_wait(const struct rate *rate, double debt)
{
    return rate_passes(rate, debt) ? 0 : debt + rate->interval - rate->most;
}
