/* Accept-Encoding: weights stay in bounds, and the choice is stored and acceptable. */
#include <stdint.h>
#include <stdlib.h>

#include "http/coding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct coding_accept accept = coding_accept_parse((struct span){(const char *)data, size});
    for (int coding = 0; coding < CODING_COUNT; coding++)
        if (accept.quality[coding] > 1000)
            abort();
    for (unsigned available = 0; available < 1u << CODING_COUNT; available++) {
        enum coding coding;
        if (coding_choose(&accept, available, &coding) &&
            (!(available & CODING_BIT(coding)) || !accept.quality[coding]))
            abort();
    }
    return 0;
}
