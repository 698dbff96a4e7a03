/* Accept: what is chosen is acceptable, and something is chosen when anything is. */
#include <stdint.h>
#include <stdlib.h>

#include "http/media.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *const types[] = {"application/json", "text/csv"};
    struct span header = {.data = (const char *)data, .size = size};
    size_t index;
    bool chosen = media_choose(header, types, 2, &index);
    bool any = media_acceptable(header, types[0]) || media_acceptable(header, types[1]);
    if (chosen != any || (chosen && !media_acceptable(header, types[index])))
        abort();
    return 0;
}
