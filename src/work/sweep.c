#include "work/sweep.h"

/*
 * From the start on, where there is mostly nothing, pieces soon grow to all there is. Nor are they
 * made smaller than that for the time they take: on a busy machine each waits for a processor
 * longer than SWEEP_PIECE, whatever is in it, and pieces would become single numbers.
 */
#define WIDTH_FIRST 1024
#define WIDTH_MOST (UINT64_MAX / 4)

/* Behind a number that was passed over, pieces soon are what they were. */
#define GROWTH 2
#define GROWTH_FIRST 8

void sweep_piece(struct sweep *sweep, uint64_t end, uint64_t *ret_from, uint64_t *ret_end)
{
    if (sweep->width == 0)
        sweep->width = WIDTH_FIRST;
    if (sweep->next >= end)
        sweep->next = 0; /* the server counts anew */
    *ret_from = sweep->next;
    *ret_end = end - sweep->next > sweep->width ? sweep->next + sweep->width : end;
}

int64_t sweep_done(struct sweep *sweep, uint64_t until, uint64_t end, bool more, int64_t took)
{
    if (more)
        return 0;
    uint64_t had = until - sweep->next; /* less than the width where the sweep ends */
    if (took > SWEEP_PIECE && had > WIDTH_FIRST)
        sweep->width = had / 2 > WIDTH_FIRST ? had / 2 : WIDTH_FIRST;
    else if (sweep->width < WIDTH_FIRST)
        sweep->width *= GROWTH_FIRST;
    else if (took < SWEEP_PIECE / 2 && sweep->width < WIDTH_MOST)
        sweep->width *= GROWTH;
    sweep->next = until < end ? until : 0;
    int64_t pause = SWEEP_PART * took < SWEEP_PAUSE_MOST ? SWEEP_PART * took : SWEEP_PAUSE_MOST;
    return sweep->next == 0 && pause < SWEEP_INTERVAL ? SWEEP_INTERVAL : pause;
}

void sweep_broken(struct sweep *sweep, uint64_t until)
{
    uint64_t had = until - sweep->next;
    if (had > 1)
        sweep->width = had / 2;
    else
        sweep->next = until;
}
