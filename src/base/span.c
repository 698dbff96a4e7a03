#include "base/span.h"

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
