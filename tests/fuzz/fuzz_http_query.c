/* Query strings: pairs are UTF-8 without NUL, and no more than allowed. */
#include <stdint.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "http/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PAIRS_MAX 16

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct query_pair pairs[PAIRS_MAX];
    struct arena *arena = arena_new();
    struct error error;
    size_t count;
    require(arena != NULL);
    if (query_parse((struct span){(const char *)data, size}, arena, pairs, PAIRS_MAX, &count,
                    &error)) {
        require(count <= PAIRS_MAX);
        for (size_t i = 0; i < count; i++) {
            require(utf8_valid(pairs[i].name) && utf8_valid(pairs[i].value));
            require(span_find(pairs[i].value, '\0') == pairs[i].value.size);
            require(pairs[i].has_value || !pairs[i].value.size);
        }
    } else {
        require(error.kind == ERROR_INVALID);
    }
    arena_free(arena);
    return 0;
}
