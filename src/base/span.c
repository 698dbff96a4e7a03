#include "base/span.h"

#include <limits.h>

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

struct span span_trim(struct span span)
{
    while (span.size && is_blank(span.data[0]))
        span = span_from(span, 1);
    while (span.size && is_blank(span.data[span.size - 1]))
        span.size--;
    return span;
}

size_t span_find(struct span span, char byte)
{
    const char *at = span.size ? memchr(span.data, byte, span.size) : NULL;
    return at ? (size_t)(at - span.data) : span.size;
}

struct span span_split(struct span *rest, char separator)
{
    size_t at = span_find(*rest, separator);
    struct span part = span_first(*rest, at);
    *rest = at < rest->size ? span_from(*rest, at + 1) : (struct span){0};
    return part;
}

size_t span_parts(struct span text, char separator)
{
    size_t count = 0;
    for (; text.data; count++)
        span_split(&text, separator);
    return count;
}

bool span_number(struct span text, uint64_t most, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (digit > most || number > (most - digit) / 10)
            return false;
        number = 10 * number + digit;
    }
    if (text.size)
        *ret_number = number;
    return text.size > 0;
}

bool span_digits_take(struct span *rest, size_t count, int *ret_number)
{
    uint64_t number;
    if (rest->size < count || !span_number(span_first(*rest, count), INT_MAX, &number))
        return false;
    *rest = span_from(*rest, count);
    *ret_number = (int)number;
    return true;
}
