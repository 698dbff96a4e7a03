/*
 * What PostgreSQL says of a route's statement, in the words of who wrote the file: parameters have
 * the file's names, and behind it stands what to do where that can be told. Pure.
 */
#ifndef LARDER_DB_COMPLAINT_H
#define LARDER_DB_COMPLAINT_H

#include "base/arena.h"
#include "db/failure.h"
#include "route/route.h"

/* One line, of the arena's memory or the failure's own; never null. */
const char *complaint_text(const struct route *route, const struct statement *statement,
                           const struct db_failure *failure, struct arena *arena);

#endif
