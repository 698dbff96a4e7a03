/*
 * The files of a folder of routes, read whole.
 */
#ifndef LARDER_SERVE_FOLDER_H
#define LARDER_SERVE_FOLDER_H

#include "base/arena.h"
#include "route/fault.h"
#include "route/table.h"

/* A route file larger than this is a fault. */
#define ROUTE_FILE_MAX ((size_t)1024 * 1024)

/*
 * Reads every file whose name ends in ".sql" below `path` (or `path` itself when it is a file),
 * following symbolic links, in order of path; names that begin with "." are passed over. Names and
 * contents are in `arena`. What can't be read is a fault; a folder without any route file is one
 * too. False only on memory.
 */
MUST_CHECK bool route_folder_read(const char *path, struct arena *arena, struct fault_list *faults,
                                  struct route_source **ret_sources, size_t *ret_count);

#endif
