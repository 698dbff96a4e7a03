#include "http/header.h"

/* RFC 9110, section 5.6.2: tchar. */
static const bool token_bytes[256] = {
    ['!'] = true,         ['#'] = true,         ['$'] = true,         ['%'] = true, ['&'] = true,
    ['\''] = true,        ['*'] = true,         ['+'] = true,         ['-'] = true, ['.'] = true,
    ['^'] = true,         ['_'] = true,         ['`'] = true,         ['|'] = true, ['~'] = true,
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
};

bool header_value_valid(struct span value)
{
    for (size_t i = 0; i < value.size; i++) {
        unsigned char byte = (unsigned char)value.data[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return false;
    }
    return true;
}

size_t header_token_size(struct span text)
{
    size_t size = 0;
    while (size < text.size && token_bytes[(unsigned char)text.data[size]])
        size++;
    return size;
}

bool header_token_valid(struct span text)
{
    return text.size && header_token_size(text) == text.size;
}
