/*
 * Conditional requests: the order in which the four headers count (RFC 9110, section 13.2.2).
 *
 * Evaluate after authorisation, and only when the answer without the conditions would be a 2xx
 * (section 13.2.1).
 */
#ifndef LARDER_HTTP_PRECONDITION_H
#define LARDER_HTTP_PRECONDITION_H

#include <stdint.h>

#include "base/span.h"

/* As they came; data null: absent. An empty header is present and names nothing. */
struct precondition_headers {
    struct span if_match;
    struct span if_unmodified_since;
    struct span if_none_match;
    struct span if_modified_since;
};

struct precondition_state {
    bool exists;             /* there is a current representation */
    const struct span *tags; /* the opaque tags of all its variants */
    size_t tag_count;
    int64_t last_modified; /* Unix seconds; negative: not known, the date conditions are ignored */
};

enum precondition_verdict {
    PRECONDITION_PROCEED,
    PRECONDITION_NOT_MODIFIED, /* 304 */
    PRECONDITION_FAILED,       /* 412 */
};

/*
 * A date that does not parse is ignored (sections 13.1.3 and 13.1.4). A GET or HEAD of what does
 * not exist proceeds, to its 404. PRECONDITION_NOT_MODIFIED is given to GET and HEAD alone.
 */
enum precondition_verdict precondition_evaluate(const struct precondition_headers *headers,
                                                const struct precondition_state *state,
                                                bool get_or_head);

#endif
