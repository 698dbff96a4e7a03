/*
 * Cache-Control, read and written (RFC 9111, section 5.2; RFC 5861; RFC 8246).
 */
#ifndef LARDER_HTTP_CACHE_CONTROL_H
#define LARDER_HTTP_CACHE_CONTROL_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/span.h"

#define CACHE_CONTROL_NONE INT64_C(-1)

/* Initialise with CACHE_CONTROL_EMPTY: a duration of 0 is not the same as none. */
struct cache_control {
    bool public;
    bool private;
    bool no_store;
    bool no_cache;
    bool no_transform;
    bool must_revalidate;
    bool proxy_revalidate;
    bool must_understand;
    bool immutable;
    bool only_if_cached; /* a request's */

    /* seconds; CACHE_CONTROL_NONE: not there */
    int64_t max_age;
    int64_t s_maxage;
    int64_t stale_while_revalidate;
    int64_t stale_if_error;
};

#define CACHE_CONTROL_EMPTY                                                                        \
    ((struct cache_control){.max_age = CACHE_CONTROL_NONE,                                         \
                            .s_maxage = CACHE_CONTROL_NONE,                                        \
                            .stale_while_revalidate = CACHE_CONTROL_NONE,                          \
                            .stale_if_error = CACHE_CONTROL_NONE})

/*
 * Reads what can be read: unknown and malformed directives are passed over, names are compared
 * without case, private="field" and no-cache="field" count as the whole directive, of a directive
 * given twice the first counts, a number that doesn't parse is 0 (stale) and one beyond 2^31 is
 * 2^31 (section 1.2.2).
 */
struct cache_control cache_control_parse(struct span header);

/*
 * Is the value fit to be sent by a route? ERROR_INVALID names the first directive that is unknown,
 * malformed, given twice, or contradicts another: public with private, a lifetime with no-store,
 * s-maxage with private or with stale-while-revalidate (s-maxage forbids a shared cache to serve
 * stale, section 5.2.2.10), and no-cache="field", which makes nginx keep nothing.
 */
MUST_CHECK bool cache_control_check(struct span header, struct error *error);

/*
 * May a cache that several people share keep the answer? Only where it says so in words (public or
 * s-maxage) and neither private nor no-store.
 */
bool cache_control_shared(const struct cache_control *control);

/* Appends the field's value, directives in a fixed order ("public, max-age=3600"). */
void cache_control_write(const struct cache_control *control, struct bytes *out);

#endif
