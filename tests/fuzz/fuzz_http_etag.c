/* Entity-tag lists: every tag lies inside the header, and the matches agree with the iterator. */
#include <stdint.h>
#include <stdlib.h>

#include "http/etag.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct span header = {.data = (const char *)data, .size = size};
    struct span rest = header;
    struct etag etag;
    while (etag_next(&rest, &etag)) {
        require(etag.opaque.data > header.data);
        require(etag.opaque.data + etag.opaque.size < header.data + size);
        require(etag.opaque.data[-1] == '"' && etag.opaque.data[etag.opaque.size] == '"');
        require(span_find(etag.opaque, '"') == etag.opaque.size);
        require(etag_list_matches_weak(header, &etag.opaque, 1));
        require(etag.weak || etag_list_matches_strong(header, &etag.opaque, 1));
    }
    return 0;
}
