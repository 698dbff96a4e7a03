/*
 * The triggers of narrowed watches: the tags of OLD's and NEW's value, each once a transaction, or
 * past a hundred values the bulk tag.
 *
 * What strikes them strikes watches that are not narrowed too: rows that come and go all of those,
 * updates one that reads the same columns. Then the narrowed watch's trigger carries their tags,
 * since a trigger costs a writer more than its tag does: with each value, so a hundred times in a
 * transaction of many rows, and never less than once.
 */
#ifndef LARDER_DB_INSTALL_NARROW_H
#define LARDER_DB_INSTALL_NARROW_H

#include "db/install_trigger.h"

/* Appends the functions and the triggers of all narrowed watches. False: memory. */
MUST_CHECK bool install_want_narrowed(const struct install_making *making);

/* Do these triggers strike what reads the table as a whole, when rows come and go? */
bool install_narrowed_carries_rows(const struct install_making *making);

/* … and this watch, which is not narrowed, when an UPDATE changes what it reads? */
bool install_narrowed_carries_update(const struct install_making *making,
                                     const struct watch *whole);

#endif
