/* Any bytes as Prefer: waits are bounded, and what is said twice counts once. */
#include <stdint.h>
#include <stdlib.h>

#include "http/prefer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span value = {.data = (const char *)data, .size = size};
    struct prefer once = PREFER_NONE, twice;
    prefer_read(value, &once);
    must(once.wait >= -1 && once.wait <= 1000000);
    twice = once;
    prefer_read(value, &twice);
    must(twice.respond_async == once.respond_async);
    must(twice.wait == once.wait);
    return 0;
}
