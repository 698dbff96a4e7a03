#include "route/template.h"

#include <stdbool.h>

bool template_next(struct span *rest, struct span *ret_literal, struct span *ret_name)
{
    if (!rest->size)
        return false;
    size_t open = span_find(*rest, '{');
    *ret_literal = span_first(*rest, open);
    *ret_name = (struct span){0};
    *rest = span_from(*rest, open);
    if (!rest->size)
        return true;
    size_t close = span_find(*rest, '}');
    *ret_name = span_from(span_first(*rest, close), 1);
    *rest = span_from(*rest, close < rest->size ? close + 1 : close);
    return true;
}

static bool stays(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || (byte && strchr("-._~", byte)) ||
           ((unsigned char)byte & 0x80);
}

void template_write_escaped(struct span value, struct bytes *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < value.size; i++) {
        unsigned char byte = (unsigned char)value.data[i];
        if (stays(value.data[i])) {
            bytes_append_byte(out, value.data[i]);
            continue;
        }
        const char escaped[] = {'%', digits[byte >> 4], digits[byte & 15]};
        bytes_append(out, escaped, sizeof escaped);
    }
}

bool template_separates(struct span literal)
{
    for (size_t i = 0; i < literal.size; i++)
        if (!stays(literal.data[i]) && literal.data[i] != '%')
            return true;
    return false;
}
