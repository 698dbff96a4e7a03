/*
 * The two clocks, in microseconds. Modules that decide by time have it passed in; only the loops
 * at the top ask here.
 */
#ifndef LARDER_BASE_CLOCK_H
#define LARDER_BASE_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Never runs backwards; for deadlines and durations within one machine. */
int64_t clock_monotonic(void);

/* Since 1970-01-01 UTC; for what other hosts and later starts read. */
int64_t clock_wall(void);

/* Milliseconds from now to a monotonic deadline, for poll(2): rounded up, 0 when it is over. */
int clock_remaining_ms(int64_t deadline, int64_t now);

/* The same time, or span of time, not below 0, as the system's calls take it. */
struct timespec clock_timespec(int64_t microseconds);

/* A condition whose timed waits end by the monotonic clock. */
void clock_condition_init(pthread_cond_t *condition);

/*
 * Waits for such a condition, until (monotonic µs) at most; false: it was not signalled in time.
 * It may return before either, as all conditions do.
 */
bool clock_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until);

#endif
