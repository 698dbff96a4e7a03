/*
 * How long to wait before a server that is away is tried again: from 50 ms, doubling up to 2 s,
 * with jitter, so that the larderds of many hosts don't come back all at once. Pure.
 */
#ifndef LARDER_WORK_BACKOFF_H
#define LARDER_WORK_BACKOFF_H

#include <stdint.h>

#define BACKOFF_LEAST INT64_C(50000)
#define BACKOFF_MOST INT64_C(2000000)

/* All zeros: nothing has failed. */
struct backoff {
    int64_t delay; /* µs, of the last wait before jitter */
};

/* A failure: the µs to wait, from half the delay to all of it, as `random` (any number) decides. */
int64_t backoff_failed(struct backoff *backoff, uint32_t random);

void backoff_succeeded(struct backoff *backoff);

#endif
