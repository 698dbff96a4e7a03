#include "http/target.h"

#include "base/utf8.h"

/* How much of a client's text an error repeats. */
#define SHOWN_MAX 64
#define SHOWN(span) (int)((span).size < SHOWN_MAX ? (span).size : SHOWN_MAX), (span).data

static bool starts_nocase(struct span text, const char *start)
{
    size_t size = strlen(start);
    return text.size >= size && strncasecmp(text.data, start, size) == 0;
}

/* absolute-form without its scheme and authority, or false. */
static bool authority_drop(struct span raw, struct span *ret_rest)
{
    size_t scheme = starts_nocase(raw, "http://") ? 7 : starts_nocase(raw, "https://") ? 8 : 0;
    if (!scheme)
        return false;
    size_t end = scheme;
    while (end < raw.size && raw.data[end] != '/' && raw.data[end] != '?')
        end++;
    if (end == scheme)
        return false;
    *ret_rest = span_from(raw, end);
    return true;
}

static bool is_target_byte(char byte)
{
    unsigned char value = (unsigned char)byte;
    return value > 0x20 && value != 0x7f && value != '#';
}

bool target_split(struct span raw, struct span *ret_path, struct span *ret_query)
{
    for (size_t i = 0; i < raw.size; i++)
        if (!is_target_byte(raw.data[i]))
            return false;
    struct span rest = raw;
    bool absolute = authority_drop(raw, &rest);
    if (!absolute && (!raw.size || raw.data[0] != '/'))
        return false;
    size_t mark = span_find(rest, '?');
    *ret_path = mark ? span_first(rest, mark) : SPAN_LITERAL("/");
    *ret_query = mark < rest.size ? span_from(rest, mark + 1) : (struct span){0};
    return true;
}

static bool is_plain(struct span raw, bool plus_is_space)
{
    for (size_t i = 0; i < raw.size; i++) {
        char byte = raw.data[i];
        if (byte == '%' || byte == '\0' || (byte == '+' && plus_is_space))
            return false;
    }
    return true;
}

static int hexadecimal(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The byte that the escape at the start of `text` stands for, or -1. */
static int escape_read(struct span text)
{
    if (text.size < 3)
        return -1;
    int high = hexadecimal(text.data[1]), low = hexadecimal(text.data[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool percent_decode(struct span raw, bool plus_is_space, struct arena *arena,
                    struct span *ret_decoded, struct error *error)
{
    if (is_plain(raw, plus_is_space)) {
        *ret_decoded = raw;
        return true;
    }
    char *decoded = arena_alloc(arena, raw.size);
    if (!decoded)
        return error_set_memory(error);
    size_t size = 0;
    for (size_t at = 0; at < raw.size; at++) {
        int byte = (unsigned char)raw.data[at];
        if (byte == '%') {
            byte = escape_read(span_from(raw, at));
            at += 2;
        } else if (byte == '+' && plus_is_space) {
            byte = ' ';
        }
        if (byte < 0)
            return error_set(error, ERROR_INVALID,
                             "\"%.*s\": \"%%\" must be followed by two hexadecimal digits",
                             SHOWN(raw));
        if (byte == 0)
            return error_set(error, ERROR_INVALID, "\"%.*s\": a NUL byte is not allowed",
                             SHOWN(raw));
        decoded[size++] = (char)byte;
    }
    *ret_decoded = (struct span){.data = decoded, .size = size};
    return true;
}

static bool segment_read(struct span raw, struct arena *arena, struct span *ret_segment,
                         struct error *error)
{
    struct span segment;
    if (!percent_decode(raw, false, arena, &segment, error))
        return false;
    if (span_is(segment, ".") || span_is(segment, ".."))
        return error_set(error, ERROR_INVALID, "a path segment must not be \".\" or \"..\"");
    if (!utf8_valid(segment))
        return error_set(error, ERROR_INVALID, "\"%.*s\" in the path must be UTF-8", SHOWN(raw));
    *ret_segment = segment;
    return true;
}

bool target_segments(struct span path, struct arena *arena, struct span *segments, size_t max,
                     size_t *ret_count, struct error *error)
{
    size_t count = 0;
    if (!path.size || path.data[0] != '/')
        return error_set(error, ERROR_INVALID, "the path must begin with \"/\"");
    struct span rest = span_from(path, 1);
    do {
        struct span raw = span_split(&rest, '/');
        if (count < max && !segment_read(raw, arena, &segments[count], error))
            return false;
        count++;
    } while (rest.data && count <= max);
    *ret_count = count;
    return true;
}
