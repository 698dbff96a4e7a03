/*
 * The triggers of narrowed watches: the tags of OLD's and NEW's value, each once a transaction, or
 * past a hundred values the bulk tag.
 */
#ifndef LARDER_DB_INSTALL_NARROW_H
#define LARDER_DB_INSTALL_NARROW_H

#include "db/install_trigger.h"

/* Appends the functions and the triggers of all narrowed watches. False: memory. */
MUST_CHECK bool install_want_narrowed(const struct install_making *making);

#endif
