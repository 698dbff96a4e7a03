/*
 * How long things took: counts by duration, in memory that processes may share.
 *
 * Fourteen buckets to a factor of ten, from 10 µs to 10 s, so a quantile read from them is at most
 * a quarter too high or a fifth too low, and mostly within a tenth. Adding takes no lock.
 */
#ifndef LARDER_BASE_HISTOGRAM_H
#define LARDER_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_DECADES 6
#define HISTOGRAM_STEPS 14
/* The last has what took longer than 10 s. */
#define HISTOGRAM_BUCKETS (HISTOGRAM_DECADES * HISTOGRAM_STEPS + 2)

/* All zeros: nothing was counted. */
struct histogram {
    _Atomic int64_t buckets[HISTOGRAM_BUCKETS];
    _Atomic int64_t sum; /* µs */
    _Atomic int64_t max; /* µs */
};

/* `duration` in µs; below 0 counts as 0. */
void histogram_add(struct histogram *histogram, int64_t duration);

/* The upper bound (µs, inclusive) of a bucket that is not the last. */
int64_t histogram_bound(size_t bucket);

int64_t histogram_count(const struct histogram *histogram);

/* How many took at most `bound` µs, which must be a bucket's bound. */
int64_t histogram_count_up_to(const struct histogram *histogram, int64_t bound);

/*
 * The duration (µs) that a share of all (0 to 1) took at most, interpolated within its bucket, and
 * never above the longest; 0: nothing was counted.
 */
double histogram_quantile(const struct histogram *histogram, double share);

/* µs; 0: nothing was counted. */
double histogram_mean(const struct histogram *histogram);

#endif
