#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"

#define CAPACITY_FIRST 256

void bytes_free(struct bytes *bytes)
{
    if (!bytes)
        return;
    free(bytes->data);
    *bytes = BYTES_EMPTY;
}

void bytes_clear(struct bytes *bytes)
{
    bytes->size = 0;
    bytes->failed = false;
    if (bytes->data)
        bytes->data[0] = '\0';
}

static size_t capacity_for(size_t have, size_t need)
{
    size_t capacity = have ? have : CAPACITY_FIRST;
    while (capacity < need)
        capacity = capacity > SIZE_MAX / 2 ? need : capacity * 2;
    return capacity;
}

static bool grow(struct bytes *bytes, size_t more)
{
    size_t capacity =
        more < SIZE_MAX - bytes->size ? capacity_for(bytes->capacity, bytes->size + more + 1) : 0;
    char *data = capacity ? realloc(bytes->data, capacity) : NULL;
    if (!data) {
        bytes->failed = true;
        return false;
    }
    bytes->data = data;
    bytes->capacity = capacity;
    return true;
}

char *bytes_reserve(struct bytes *bytes, size_t more)
{
    if (bytes->failed)
        return NULL;
    bool room = bytes->data && more < bytes->capacity - bytes->size;
    return room || grow(bytes, more) ? bytes->data + bytes->size : NULL;
}

void bytes_append(struct bytes *bytes, const void *data, size_t size)
{
    char *to = bytes_reserve(bytes, size);
    if (!to)
        return;
    if (size)
        memcpy(to, data, size);
    to[size] = '\0';
    bytes->size += size;
}

void bytes_append_span(struct bytes *bytes, struct span span)
{
    bytes_append(bytes, span.data, span.size);
}

void bytes_append_byte(struct bytes *bytes, char byte)
{
    bytes_append(bytes, &byte, 1);
}

void bytes_append_number(struct bytes *bytes, int64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (number < 0)
        digits[--at] = '-';
    bytes_append(bytes, digits + at, sizeof digits - at);
}

void bytes_append_format(struct bytes *bytes, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        bytes->failed = true;
    char *to = bytes_reserve(bytes, length < 0 ? 0 : (size_t)length);
    if (to) {
        vsnprintf(to, (size_t)length + 1, format, again);
        bytes->size += (size_t)length;
    }
    va_end(again);
}

/* RFC 8259, section 7: what must be escaped, and the short forms it gives. */
static const char *json_escape(unsigned char byte)
{
    static const char *const escapes[128] = {
        ['"'] = "\\\"", ['\\'] = "\\\\", ['\b'] = "\\b", ['\f'] = "\\f",
        ['\n'] = "\\n", ['\r'] = "\\r",  ['\t'] = "\\t",
    };
    return byte < 128 ? escapes[byte] : NULL;
}

static size_t append_json_character(struct bytes *bytes, struct span rest)
{
    unsigned char byte = (unsigned char)rest.data[0];
    const char *escape = json_escape(byte);
    size_t length = escape ? 1 : utf8_character(rest);
    if (escape)
        bytes_append_text(bytes, escape);
    else if (byte < 0x20)
        bytes_append_format(bytes, "\\u%04x", byte);
    else if (length)
        bytes_append(bytes, rest.data, length);
    else
        bytes_append_text(bytes, "\xef\xbf\xbd");
    return length ? length : 1;
}

void bytes_append_json(struct bytes *bytes, struct span text)
{
    bytes_append_byte(bytes, '"');
    while (text.size)
        text = span_from(text, append_json_character(bytes, text));
    bytes_append_byte(bytes, '"');
}
