#include "base/histogram.h"

/* The bounds of a decade, in percent of its first. */
static const int64_t steps[HISTOGRAM_STEPS] = {100, 125, 150, 175, 200, 250, 300,
                                               350, 400, 500, 600, 700, 800, 900};

int64_t histogram_bound(size_t bucket)
{
    int64_t first = 10;
    for (size_t i = HISTOGRAM_STEPS; i <= bucket; i += HISTOGRAM_STEPS)
        first *= 10;
    /* 12.5 µs and 17.5 µs are 12 and 17: a duration is a whole number. */
    return steps[bucket % HISTOGRAM_STEPS] * first / 100;
}

/* The first bucket whose bound is not below the duration. */
static size_t bucket_of(int64_t duration)
{
    size_t low = 0, high = HISTOGRAM_BUCKETS - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (histogram_bound(middle) < duration)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int64_t read_number(const _Atomic int64_t *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

void histogram_add(struct histogram *histogram, int64_t duration)
{
    int64_t taken = duration < 0 ? 0 : duration;
    int64_t longest = read_number(&histogram->max);
    atomic_fetch_add_explicit(&histogram->buckets[bucket_of(taken)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum, taken, memory_order_relaxed);
    while (taken > longest && !atomic_compare_exchange_weak(&histogram->max, &longest, taken))
        ;
}

int64_t histogram_count(const struct histogram *histogram)
{
    int64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        count += read_number(&histogram->buckets[i]);
    return count;
}

int64_t histogram_count_up_to(const struct histogram *histogram, int64_t bound)
{
    int64_t count = 0;
    for (size_t i = 0; i + 1 < HISTOGRAM_BUCKETS && histogram_bound(i) <= bound; i++)
        count += read_number(&histogram->buckets[i]);
    return count;
}

/* Where in its bucket the `rank`-th lies, of `inside` that are there. */
static double within(const struct histogram *histogram, size_t bucket, double rank, int64_t inside)
{
    double longest = (double)read_number(&histogram->max);
    double low = bucket ? (double)histogram_bound(bucket - 1) : 0;
    double high = bucket + 1 < HISTOGRAM_BUCKETS ? (double)histogram_bound(bucket) : longest;
    double duration = low + (high - low) * rank / (double)inside;
    return duration < longest ? duration : longest;
}

double histogram_quantile(const struct histogram *histogram, double share)
{
    double rank = share * (double)histogram_count(histogram);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        int64_t inside = read_number(&histogram->buckets[i]);
        if (inside && rank <= (double)inside)
            return within(histogram, i, rank, inside);
        rank -= (double)inside;
    }
    return (double)read_number(&histogram->max);
}

double histogram_mean(const struct histogram *histogram)
{
    int64_t count = histogram_count(histogram);
    return count ? (double)read_number(&histogram->sum) / (double)count : 0;
}
