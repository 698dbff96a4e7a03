/*
 * Paths, cut into segments: a route's with its {name} places, and a request's.
 *
 * In both a final slash is an empty last segment, so "/a" and "/a/" differ and "/" is one empty
 * segment. Percent-escapes are decoded after cutting: %2F is a byte of its segment.
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

enum path_split {
    PATH_SPLIT,     /* done */
    PATH_MALFORMED, /* no '/' at the start, a bad percent-escape, a NUL, no UTF-8: 400 */
    PATH_TOO_DEEP,  /* over ROUTE_SEGMENTS_MAX: 404 */
    PATH_NO_MEMORY,
};

/*
 * Cuts and decodes a request's path (without its query). The segments are terminated texts in
 * `arena`; the outputs are written only with PATH_SPLIT.
 */
MUST_CHECK enum path_split path_split(struct span path, struct arena *arena,
                                      struct span ret_segments[static ROUTE_SEGMENTS_MAX],
                                      size_t *ret_count);

/* Whether `name` may be a parameter's: [a-z_][a-z0-9_]*. */
bool path_is_name(struct span name);

#endif
