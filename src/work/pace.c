#include "work/pace.h"

static int64_t between(int64_t least, int64_t value, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

/* While writers don't notify a pause is what a change waits at most. */
static int64_t delay_of_none(const struct pace *pace)
{
    int64_t most = pace->state == PACE_AWAKE ? PACE_AWAKE_MOST : PACE_MOST;
    bool lull = pace->state == PACE_AWAKE && pace->empty <= PACE_LULL;
    return between(PACE_LEAST, lull ? 0 : 2 * pace->delay, most);
}

/* A poll takes long where writers have the processors. */
static int64_t delay_of_rows(const struct pace_poll *poll)
{
    if (poll->more)
        return 0;
    return between(PACE_LEAST, poll->rows > PACE_FEW ? 2 * poll->took : 0, PACE_MANY_MOST);
}

/* One row alone is no load: it is taken, and a sleeper sleeps on. */
static enum pace_wish polled_full(struct pace *pace, const struct pace_poll *poll, bool again)
{
    pace->delay = delay_of_rows(poll);
    pace->empty = 0;
    if (!again)
        return PACE_STAY;
    pace->state = PACE_AWAKE;
    return poll->some_notify ? PACE_GET_UP : PACE_STAY;
}

/* Should it fail once the flag is set, the flag alone would not tell that nobody was drowsy. */
static enum pace_wish wish_again(struct pace *pace)
{
    pace->state = PACE_AWAKE;
    pace->empty = PACE_TIRED;
    return PACE_LIE_DOWN;
}

enum pace_wish pace_polled(struct pace *pace, const struct pace_poll *poll)
{
    bool again = pace->found;
    pace->found = poll->found;
    if (poll->found)
        return polled_full(pace, poll, again);
    pace->empty++;
    pace->delay = delay_of_none(pace);
    if (pace->state == PACE_DROWSY && poll->oldest_running >= pace->until && !poll->coming)
        pace->state = PACE_ASLEEP;
    else if (pace->state == PACE_ASLEEP && !poll->all_notify)
        return wish_again(pace);
    else if (pace->state == PACE_ASLEEP && poll->coming)
        pace_lain_down(pace, pace->until);
    else if (pace->state == PACE_AWAKE && pace->empty >= PACE_TIRED)
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
