/* Cache-Control: what is read and written is read again as the same, and stays fit to be sent. */
#include <stdint.h>
#include <stdlib.h>

#include "http/cache_control.h"
#include "http/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span header = {.data = (const char *)data, .size = size};
    struct bytes first = BYTES_EMPTY, second = BYTES_EMPTY;
    struct error error;
    struct cache_control control = cache_control_parse(header);
    cache_control_write(&control, &first);
    struct cache_control again = cache_control_parse(bytes_span(&first));
    cache_control_write(&again, &second);
    require(span_equal(bytes_span(&first), bytes_span(&second)));
    require(header_value_valid(bytes_span(&first)));
    if (cache_control_check(header, &error))
        require(cache_control_check(bytes_span(&first), &error));
    bytes_free(&first);
    bytes_free(&second);
    return 0;
}
