#include "auth/base64url.h"

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

static bool refuse(struct error *error)
{
    return error_set(error, ERROR_INVALID, "not base64url without padding");
}

bool base64url_read(struct span text, struct arena *arena, struct span *ret_bytes,
                    struct error *error)
{
    unsigned held = 0, held_bits = 0;
    size_t size = 0;
    if (text.size % 4 == 1)
        return refuse(error);
    char *bytes = arena_alloc(arena, text.size / 4 * 3 + 3);
    if (!bytes)
        return error_set_memory(error);
    for (size_t i = 0; i < text.size; i++) {
        int bits = bits_of(text.data[i]);
        if (bits < 0)
            return refuse(error);
        held = (held << 6 | (unsigned)bits) & 0xfff;
        held_bits += 6;
        if (held_bits < 8)
            continue;
        held_bits -= 8;
        bytes[size++] = (char)(unsigned char)(held >> held_bits);
    }
    if (held & ((1U << held_bits) - 1))
        return refuse(error);
    *ret_bytes = (struct span){.data = bytes, .size = size};
    return true;
}
