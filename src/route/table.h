/*
 * All routes of a folder, and which of them a request means.
 *
 * A table is built once and never changes; requests hold a reference while they use it, so a
 * reload swaps tables under a running server and the old one goes when its last request ends.
 */
#ifndef LARDER_ROUTE_TABLE_H
#define LARDER_ROUTE_TABLE_H

#include "base/span.h"
#include "route/path.h"
#include "route/route.h"

struct route_table;

/* One file's name and content, both living as long as the call. */
struct route_source {
    const char *file;
    struct span text;
};

/*
 * Parses all sources. Faults, also those between files (two files with one route: the same method
 * and the same shape of path, whatever the parameters are called; @refreshes of what is no kept
 * read), go to `faults`. Returns null
 * when memory ran out or when there was a fault and `keep_good` is false; with `keep_good` the
 * table holds the files that had none (for `larder check`, which asks PostgreSQL about them too).
 */
struct route_table *route_table_new(const struct route_source *sources, size_t count,
                                    bool keep_good, struct fault_list *faults) MUST_CHECK;

/* References are counted atomically; null is allowed. */
struct route_table *route_table_ref(struct route_table *table);
void route_table_unref(struct route_table *table);

/* Is there an @async route? Then everything below /jobs/ is Larder's own. */
bool route_table_files_jobs(const struct route_table *table);

size_t route_table_count(const struct route_table *table);

/* In the order of their paths (segment by segment, parameters after literals), then methods. */
const struct route *route_table_at(const struct route_table *table, size_t index);

/* What a path leads to. */
struct route_match {
    const struct route *by_method[METHOD_COUNT]; /* null: no such method there */
    bool any;
    /* The parameters' values, in order of the path's parameter segments, still percent-decoded
     * spans into `decoded`; the same for every method. */
    size_t value_count;
    struct span values[ROUTE_SEGMENTS_MAX];
};

/*
 * Matches the segments of a request's path (path_split). Literals win over parameters at each
 * segment from the left, with backtracking: /a/{x}/c is found for /a/b/c though /a/b exists. A
 * parameter never matches an empty segment. A path belongs to one shape: with GET /a/b and POST
 * /a/{x}, a POST of /a/b is answered 405. Looks at each node of the tree of routes at most once,
 * whatever the path.
 */
void route_table_match(const struct route_table *table, const struct span *segments, size_t count,
                       struct route_match *ret_match);

/* The GET that a path with {name} places leads to, as @location names it; null: there is none. */
const struct route *route_table_read(const struct route_table *table, struct span path);

#endif
