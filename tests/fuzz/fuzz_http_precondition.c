/* Preconditions: a header divided at newlines; 304 is for GET and HEAD alone. */
#include <stdint.h>
#include <stdlib.h>

#include "http/precondition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = {.data = (const char *)data, .size = size};
    const struct span tags[] = {SPAN_LITERAL("t"), SPAN_LITERAL("t-gz")};
    const struct precondition_headers headers = {
        .if_match = span_split(&rest, '\n'),
        .if_unmodified_since = span_split(&rest, '\n'),
        .if_none_match = span_split(&rest, '\n'),
        .if_modified_since = span_split(&rest, '\n'),
    };
    const struct precondition_state state = {
        .exists = true, .tags = tags, .tag_count = 2, .last_modified = 784111777};
    const struct precondition_state absent = {.last_modified = -1};
    if (precondition_evaluate(&headers, &state, false) == PRECONDITION_NOT_MODIFIED ||
        precondition_evaluate(&headers, &absent, true) != PRECONDITION_PROCEED)
        abort();
    precondition_evaluate(&headers, &state, true);
    precondition_evaluate(&headers, &absent, false);
    return 0;
}
