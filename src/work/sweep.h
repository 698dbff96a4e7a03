/*
 * Looking at all of the outbox again, piece by piece: what polls leave out, because of a position
 * that should be right, is found all the same. Pure.
 *
 * Behind an old transaction the outbox is full of dead rows, and looking past a million of them
 * takes a second. So one piece is what takes about SWEEP_PIECE, and polls come in between.
 */
#ifndef LARDER_WORK_SWEEP_H
#define LARDER_WORK_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How long one piece of many numbers should take, µs. Round trips and planning are a part of it,
 * some milliseconds where PostgreSQL is not on this host or behind a pooler: less than half, or
 * pieces never grow.
 */
#define SWEEP_PIECE INT64_C(20000)

/*
 * The part of the time that sweeping may take, and what the pause for that is at most, µs: one
 * piece that had to wait for a processor must not put off what polls left out for most of a minute.
 */
#define SWEEP_PART 50
#define SWEEP_PAUSE_MOST INT64_C(5000000)

/* From the end of one sweep to the beginning of the next at least, µs. */
#define SWEEP_INTERVAL INT64_C(1000000)

/* All zeros: before the first sweep. */
struct sweep {
    uint64_t next;  /* numbers of transactions from here on are still to be looked at */
    uint64_t width; /* how many the next piece has; 0: not known */
};

/* The next piece of what lies below `end`: numbers from *ret_from to below *ret_end, not empty
 * unless `end` is 0. */
void sweep_piece(struct sweep *sweep, uint64_t end, uint64_t *ret_from, uint64_t *ret_end);

/*
 * The piece below `until` of a sweep up to `end` took so long; `more`: not all of it was taken, so
 * it comes again. Returns the µs to the next piece, or to the next sweep.
 */
int64_t sweep_done(struct sweep *sweep, uint64_t until, uint64_t end, bool more, int64_t took);

/*
 * The piece below `until` came to no end: the next one is half of it. A single number is passed
 * over, which the next sweep looks at again.
 */
void sweep_broken(struct sweep *sweep, uint64_t until);

#endif
