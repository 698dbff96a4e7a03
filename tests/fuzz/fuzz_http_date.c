/* HTTP dates: what parses is written and read back as the same moment. */
#include <stdint.h>
#include <stdlib.h>

#include "http/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char buffer[HTTP_DATE_SIZE];
    int64_t seconds, again;
    if (!http_date_parse((struct span){(const char *)data, size}, &seconds) || seconds < 0)
        return 0;
    http_date_format(seconds, buffer);
    bool leap_past_the_end = seconds > INT64_C(253402300799);
    if (strlen(buffer) != HTTP_DATE_SIZE - 1 || !http_date_parse(span_of(buffer), &again) ||
        (again != seconds && !leap_past_the_end))
        abort();
    return 0;
}
