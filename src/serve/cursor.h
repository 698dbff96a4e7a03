/*
 * Cursors: where a page begins or ends, as an opaque text for a URL.
 *
 * A cursor is base64url without padding of
 *   1 byte   the form, and whether the page ends before the key rather than begins behind it
 *   4 bytes  of the digest of the route's name
 *   4 bytes  of the digest of the version of its file
 *   8 bytes  of a keyed digest over all the rest
 *   the key: a JSON array of a text or null for each column
 * so that one that another route, or another version of it, gave is known as such, and none can be
 * made or changed by who does not know the key: without LARDER_ETAG_KEY_FILE that is nobody's
 * secret. It is a position and no right: who may read is asked each time.
 */
#ifndef LARDER_SERVE_CURSOR_H
#define LARDER_SERVE_CURSOR_H

#include "base/arena.h"
#include "base/digest.h"
#include "cache/key.h"
#include "route/route.h"

/* Whose cursors they are. */
struct cursor_owner {
    const struct digest_key *key;
    const char *name; /* the route's */
    const struct cache_version *version;
};

struct cursor {
    bool before;
    const char *texts[ROUTE_PAGE_MAX]; /* of the key, terminated; null: NULL */
};

/* The cursor's text in `arena`. False: memory, or libcrypto refuses. */
MUST_CHECK bool cursor_write(const struct cursor_owner *owner, bool before, struct span key,
                             struct arena *arena, struct span *ret_text);

/*
 * Is it one of the owner's, with `count` columns in its key? Otherwise *ret_problem says why not,
 * as an end of the sentence "cursor …", or is null when memory ran out.
 */
MUST_CHECK bool cursor_check(const struct cursor_owner *owner, size_t count, struct span text,
                             struct arena *arena, const char **ret_problem);

/*
 * What a checked cursor says, with `count` columns in its key. False: memory, or another number of
 * them.
 */
MUST_CHECK bool cursor_read(struct span text, size_t count, struct arena *arena,
                            struct cursor *ret_cursor);

#endif
