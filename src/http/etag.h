/*
 * Entity tags and the lists of them in If-Match and If-None-Match (RFC 9110, sections 8.8.3,
 * 13.1.1 and 13.1.2).
 *
 * Larder's own tags are all strong; a list from outside may hold weak ones. Nothing is copied:
 * a tag is a view into the header it came from.
 */
#ifndef LARDER_HTTP_ETAG_H
#define LARDER_HTTP_ETAG_H

#include "base/span.h"

struct etag {
    struct span opaque; /* what stands between the quotes; may be empty */
    bool weak;          /* W/ stood before it */
};

/*
 * Takes the next well-formed tag off *rest; false when there is none left. A malformed member
 * (no quotes, a control or a space inside, anything after the closing quote, "w/") is passed over
 * and the members after it still count. A comma inside the quotes belongs to the tag.
 */
bool etag_next(struct span *rest, struct etag *ret_etag);

/*
 * If-None-Match: does the list name one of the `count` opaque tags by weak comparison (section
 * 8.8.3.2: W/ makes no difference)? "*" alone is true whatever the tags; inside a list it is
 * malformed. Whether the resource exists at all is the caller's matter (precondition.h).
 */
bool etag_list_matches_weak(struct span header, const struct span *tags, size_t count);

/* If-Match: the same by strong comparison, in which a weak tag of the list never matches. */
bool etag_list_matches_strong(struct span header, const struct span *tags, size_t count);

#endif
