/*
 * Which writes of a batch are made in one transaction, when some of them can't be made at all.
 *
 * All together at first. When one fails, those before it are made, then it alone: what fails alone
 * is at fault itself, and not the company it was in. Their order is always kept. Pure.
 */
#ifndef LARDER_WORK_SPLIT_H
#define LARDER_WORK_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

/* All zeros but for the count: nothing is made yet. */
struct split {
    size_t count; /* of writes */
    size_t at;    /* so many are dealt with */
    size_t size;  /* so many are tried next; 0: all that are left */
    size_t alone; /* the place behind the one that is to be tried alone; 0: none */
};

/* The writes to be tried next; false: all are dealt with. */
bool split_next(const struct split *split, size_t *ret_from, size_t *ret_count);

/* They are made; or the one that was tried alone is dealt with otherwise. */
void split_made(struct split *split);

/*
 * They failed, by the write at `failed` counted from the first of them, or, at their number, by
 * none that is known. True: there was one alone, which must then be tried again or given up.
 */
bool split_failed(struct split *split, size_t failed);

/*
 * The one that was tried alone is none any more: it stands in no one's way among the next, in
 * whose company it is dealt with. If it then fails alone again, the caller ends the run.
 */
void split_given_up(struct split *split);

#endif
