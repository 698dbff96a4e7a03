/*
 * Cache-Status (RFC 9211): what Larder's cache did for this answer.
 */
#ifndef LARDER_HTTP_CACHE_STATUS_H
#define LARDER_HTTP_CACHE_STATUS_H

#include <stdint.h>

#include "base/bytes.h"

struct cache_status {
    bool hit;            /* served from the cache: forward, stored and collapsed are left out */
    const char *forward; /* why it was not: "uri-miss", "stale", "bypass", …; null: left out */
    bool stored;         /* the answer was kept */
    bool collapsed;      /* another request's fill answered this one */
    int64_t ttl;         /* seconds of freshness left; negative: stale */
    bool has_ttl;
    const char *detail; /* the tier or a cause; null: left out */
};

/*
 * Appends the field's value: "larder; hit; ttl=212; detail=redis". A detail that is no token is
 * quoted, with "?" for what a quoted text can't hold.
 */
void cache_status_write(const struct cache_status *status, struct bytes *out);

#endif
