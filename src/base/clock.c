#include "base/clock.h"

#include <limits.h>

static int64_t clock_read(clockid_t which)
{
    struct timespec now;
    clock_gettime(which, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_monotonic(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

int64_t clock_wall(void)
{
    return clock_read(CLOCK_REALTIME);
}

int clock_remaining_ms(int64_t deadline, int64_t now)
{
    if (deadline <= now)
        return 0;
    int64_t left = (deadline - now + 999) / 1000;
    return left > INT_MAX ? INT_MAX : (int)left;
}

struct timespec clock_timespec(int64_t microseconds)
{
    return (struct timespec){.tv_sec = microseconds / 1000000,
                             .tv_nsec = microseconds % 1000000 * 1000};
}

void clock_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

bool clock_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until)
{
    const struct timespec time = clock_timespec(until);
    return pthread_cond_timedwait(condition, lock, &time) == 0;
}
