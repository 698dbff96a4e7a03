#include "base/base64url.h"

/* The six bits of a character; -1: none of the alphabet. */
static int bits_of(char character)
{
    if (character >= 'A' && character <= 'Z')
        return character - 'A';
    if (character >= 'a' && character <= 'z')
        return character - 'a' + 26;
    if (character >= '0' && character <= '9')
        return character - '0' + 52;
    return character == '-' ? 62 : character == '_' ? 63 : -1;
}

bool base64url_decode(struct span text, char *ret_bytes, size_t *ret_size)
{
    unsigned held = 0, held_bits = 0;
    size_t size = 0;
    if (text.size % 4 == 1)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        int bits = bits_of(text.data[i]);
        if (bits < 0)
            return false;
        held = (held << 6 | (unsigned)bits) & 0xfff;
        held_bits += 6;
        if (held_bits < 8)
            continue;
        held_bits -= 8;
        ret_bytes[size++] = (char)(unsigned char)(held >> held_bits);
    }
    *ret_size = size;
    return !(held & ((1U << held_bits) - 1));
}

bool base64url_read(struct span text, struct arena *arena, struct span *ret_bytes,
                    struct error *error)
{
    char *bytes = arena_alloc(arena, BASE64URL_ROOM(text.size) + 1);
    size_t size;
    if (!bytes)
        return error_set_memory(error);
    if (!base64url_decode(text, bytes, &size))
        return error_set(error, ERROR_INVALID, "not base64url without padding");
    *ret_bytes = (struct span){.data = bytes, .size = size};
    return true;
}
