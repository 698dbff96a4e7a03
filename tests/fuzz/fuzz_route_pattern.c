/*
 * Any bytes as a pattern= of @param: refused, or compiled in little memory and time.
 */
#include <stdint.h>
#include <stdlib.h>

#include "route/param.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {.data = (const char *)data, .size = size};
    struct param param = {.name = "x", .type = TYPE_TEXT, .maxlen = -1, .pattern = text};
    struct arena *arena = arena_new();
    struct value value;
    const char *problem = NULL;
    if (memchr(data, 0, size)) {
        arena_free(arena);
        return 0;
    }
    if (size && param_settle(&param, arena, &problem)) {
        bool fits =
            param_read(&param, TYPE_TEXT, false, span_of("aaab-01 xyz{}"), arena, &value, &problem);
        (void)fits;
    } else if (size && !problem) {
        abort();
    }
    param_release(&param);
    arena_free(arena);
    return 0;
}
