/*
 * What was taken of a ring as a text: larderd reads that in a fraction of the time that rows take
 * PostgreSQL and it.
 */
#ifndef LARDER_POSTGRES_LINES_H
#define LARDER_POSTGRES_LINES_H

#include <postgres.h>

#include "postgres/ring.h"

/*
 * The tags that are not the same, each on a line of its own, which no tag has an end of within.
 * *ret_count: how many there are of all. Palloc'd.
 */
text *lines_of(const struct ring_taken *taken, int *ret_count);

#endif
