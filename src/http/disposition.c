#include "http/disposition.h"

#include <string.h>

#include "http/header.h"

static bool is_unsafe(char byte)
{
    return (unsigned char)byte < ' ' || byte == 127 || strchr("\"\\/:*?<>|%", byte);
}

void disposition_append_safe(struct span value, struct bytes *out)
{
    for (size_t i = 0; i < value.size; i++)
        bytes_append_byte(out, is_unsafe(value.data[i]) ? '_' : value.data[i]);
}

struct span disposition_cut(struct span name, size_t ending_size)
{
    size_t size = DISPOSITION_NAME_MAX - ending_size;
    if (name.size <= size)
        return name;
    while (size && (name.data[size] & 0xc0) == 0x80)
        size--;
    return span_first(name, size);
}

static bool is_ascii(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] & 0x80)
            return false;
    return true;
}

/* One '_' a character. */
static void append_plain(struct span text, struct bytes *out)
{
    for (size_t i = 0; i < text.size; i++) {
        char byte = text.data[i];
        if ((byte & 0xc0) != 0x80)
            bytes_append_byte(out, byte & 0x80 ? '_' : byte);
    }
}

/* ext-value of RFC 8187. */
static void append_extended(struct span text, struct bytes *out)
{
    bytes_append_text(out, "; filename*=UTF-8''");
    for (size_t i = 0; i < text.size; i++) {
        char byte = text.data[i];
        bool plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                     (byte >= 'a' && byte <= 'z') || (byte && strchr("-._~", byte));
        if (plain)
            bytes_append_byte(out, byte);
        else
            bytes_append_format(out, "%%%02X", (unsigned char)byte);
    }
}

void disposition_write(struct span filename, struct bytes *out)
{
    bytes_append_text(out, "attachment; filename=");
    if (header_token_valid(filename)) {
        bytes_append_span(out, filename);
        return;
    }
    bytes_append_byte(out, '"');
    append_plain(filename, out);
    bytes_append_byte(out, '"');
    if (!is_ascii(filename))
        append_extended(filename, out);
}
