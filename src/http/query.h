/*
 * Query strings and application/x-www-form-urlencoded bodies (WHATWG URL, section 5.1, but an
 * error where that guesses).
 */
#ifndef LARDER_HTTP_QUERY_H
#define LARDER_HTTP_QUERY_H

#include "base/arena.h"
#include "base/error.h"
#include "base/span.h"

/* Decoded UTF-8 without NUL, not terminated. Lives as long as the raw bytes and the arena. */
struct query_pair {
    struct span name;
    struct span value; /* empty when has_value is false */
    bool has_value;    /* a "=" stood there: "a=" has an empty value, "a" none */
};

/*
 * Reads the pairs between "&" in their order, repeated names included; "+" is a space, empty pairs
 * are passed over, only the first "=" of a pair parts it. `raw` may have null data. ERROR_INVALID,
 * a 400, names a bad escape, a NUL, bytes that are not UTF-8, or more than `max` pairs. On false
 * the content of `pairs` is undefined.
 */
MUST_CHECK bool query_parse(struct span raw, struct arena *arena, struct query_pair *pairs,
                            size_t max, size_t *ret_count, struct error *error);

#endif
