#include "work/pace.h"

static int64_t doubled(int64_t delay)
{
    int64_t next = delay ? 2 * delay : PACE_LEAST;
    return next < PACE_MOST ? next : PACE_MOST;
}

/* One row alone is no load: it is taken, and a sleeper sleeps on. */
static enum pace_wish polled_full(struct pace *pace, const struct pace_poll *poll, bool again)
{
    pace->delay = 0;
    if (!again)
        return PACE_STAY;
    pace->state = PACE_AWAKE;
    return poll->flag ? PACE_GET_UP : PACE_STAY;
}

enum pace_wish pace_polled(struct pace *pace, const struct pace_poll *poll)
{
    bool again = pace->found;
    pace->found = poll->found;
    if (poll->found)
        return polled_full(pace, poll, again);
    int64_t waited = pace->delay;
    pace->delay = doubled(waited);
    if (pace->state == PACE_DROWSY && poll->oldest_running >= pace->until)
        pace->state = PACE_ASLEEP;
    else if (pace->state == PACE_ASLEEP && !poll->flag)
        return PACE_LIE_DOWN;
    else if (pace->state == PACE_AWAKE && waited >= PACE_MOST)
        return PACE_LIE_DOWN;
    return PACE_STAY;
}

void pace_lain_down(struct pace *pace, uint64_t until)
{
    pace->state = PACE_DROWSY;
    pace->until = until;
    pace->delay = PACE_LEAST;
}

int64_t pace_wait(const struct pace *pace, int64_t longest)
{
    if (pace->found || pace->state != PACE_ASLEEP)
        return pace->delay < longest ? pace->delay : longest;
    return longest;
}
