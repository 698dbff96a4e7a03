/*
 * Where in a file an offset lies, as an editor counts it.
 */
#ifndef LARDER_ROUTE_PLACE_H
#define LARDER_ROUTE_PLACE_H

#include "base/span.h"

/*
 * Lines end with \n, \r\n or \r; columns count characters. Both are from 1. A byte order mark at
 * the file's beginning has no width.
 */
struct place {
    size_t offset;
    unsigned line;
    unsigned column;
};

#define PLACE_START ((struct place){.offset = 0, .line = 1, .column = 1})

/* The length of a byte order mark at the beginning of `text`: 3 or 0. */
size_t place_mark(struct span text);

/* Moves on to `offset` (not before place->offset, not behind text.size). */
void place_advance(struct place *place, struct span text, size_t offset);

struct place place_of(struct span text, size_t offset);

#endif
