/* Request targets: what is taken apart is whole UTF-8 without NUL, and no segment walks up. */
#include <stdint.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "http/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEGMENTS_MAX 16

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void segments_check(struct span path, struct arena *arena)
{
    struct span segments[SEGMENTS_MAX];
    size_t count;
    struct error error;
    if (!target_segments(path, arena, segments, SEGMENTS_MAX, &count, &error)) {
        require(error.kind == ERROR_INVALID);
        return;
    }
    require(count <= SEGMENTS_MAX + 1);
    for (size_t i = 0; i < count && i < SEGMENTS_MAX; i++) {
        require(utf8_valid(segments[i]));
        require(span_find(segments[i], '\0') == segments[i].size);
        require(!span_is(segments[i], ".") && !span_is(segments[i], ".."));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span raw = {.data = (const char *)data, .size = size}, path, query, decoded;
    struct arena *arena = arena_new();
    struct error error;
    require(arena != NULL);
    if (target_split(raw, &path, &query)) {
        require(path.data[0] == '/');
        segments_check(path, arena);
    }
    segments_check(raw, arena);
    if (percent_decode(raw, true, arena, &decoded, &error))
        require(decoded.size <= raw.size && span_find(decoded, '\0') == decoded.size);
    arena_free(arena);
    return 0;
}
