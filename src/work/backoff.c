#include "work/backoff.h"

int64_t backoff_failed(struct backoff *backoff, uint32_t random)
{
    int64_t delay = backoff->delay ? 2 * backoff->delay : BACKOFF_LEAST;
    backoff->delay = delay < BACKOFF_MOST ? delay : BACKOFF_MOST;
    int64_t half = backoff->delay / 2;
    return half + random % (half + 1);
}

void backoff_succeeded(struct backoff *backoff)
{
    backoff->delay = 0;
}
