/*
 * A route's path, cut into segments as a request's is (http/target.h): a final slash is an empty
 * last segment, so "/a" and "/a/" differ and "/" is one empty segment.
 */
#ifndef LARDER_ROUTE_PATH_H
#define LARDER_ROUTE_PATH_H

#include "base/arena.h"
#include "base/span.h"

/* At most this many path segments; a route with more is a fault, a request with more a 404. */
#define ROUTE_SEGMENTS_MAX 32

struct path_segment {
    struct span text; /* a literal, percent-decoded, or the parameter's name */
    bool parameter;
};

struct path {
    struct path_segment segments[ROUTE_SEGMENTS_MAX];
    size_t count;
};

/*
 * Reads a route's path ("/users/{id}"). The decoded texts are in `arena`. On false *ret_problem
 * says what is wrong and what is allowed (null: memory ran out) and *ret_at is the offending part
 * of `text`.
 */
MUST_CHECK bool path_parse(struct span text, struct arena *arena, struct path *ret_path,
                           struct span *ret_at, const char **ret_problem);

/* Whether `name` may be a parameter's: [a-z_][a-z0-9_]*. */
bool path_is_name(struct span name);

#endif
