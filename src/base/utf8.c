#include "base/utf8.h"

#include <stdint.h>

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* The lead byte decides the length and the range of the second byte (RFC 3629, section 4). */
static const struct lead {
    unsigned char first, last, second_low, second_high;
    size_t length;
} leads[] = {
    {0x00, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

static bool lead_fits(const struct lead *lead, const unsigned char *at, size_t size)
{
    if (at[0] < lead->first || at[0] > lead->last || size < lead->length)
        return false;
    if (lead->length == 1)
        return true;
    if (at[1] < lead->second_low || at[1] > lead->second_high)
        return false;
    for (size_t i = 2; i < lead->length; i++)
        if (!is_continuation(at[i]))
            return false;
    return true;
}

size_t utf8_character(struct span text)
{
    const unsigned char *at = (const unsigned char *)text.data;
    if (text.size == 0)
        return 0;
    for (size_t i = 0; i < sizeof leads / sizeof leads[0]; i++)
        if (lead_fits(&leads[i], at, text.size))
            return leads[i].length;
    return 0;
}

bool utf8_valid(struct span text)
{
    while (text.size) {
        size_t length = utf8_character(text);
        if (!length)
            return false;
        text = span_from(text, length);
    }
    return true;
}

size_t utf8_count(struct span text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += !is_continuation((unsigned char)text.data[i]);
    return count;
}
