#include "route/path.h"

#include "base/utf8.h"

bool path_is_name(struct span name)
{
    for (size_t i = 0; i < name.size; i++) {
        char byte = name.data[i];
        bool letter = (byte >= 'a' && byte <= 'z') || byte == '_';
        if (!letter && (i == 0 || byte < '0' || byte > '9'))
            return false;
    }
    return name.size > 0;
}

static int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte = (char)(byte | 0x20);
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* The byte an escape at the start of `text` stands for; -1: it is malformed or a NUL. */
static int escape_decode(struct span text)
{
    if (text.size < 3 || hex_digit(text.data[1]) < 0 || hex_digit(text.data[2]) < 0)
        return -1;
    int byte = hex_digit(text.data[1]) * 16 + hex_digit(text.data[2]);
    return byte ? byte : -1;
}

static enum path_split segment_decode(struct span text, struct arena *arena,
                                      struct span *ret_decoded)
{
    char *decoded = arena_alloc(arena, text.size + 1);
    size_t size = 0;
    if (!decoded)
        return PATH_NO_MEMORY;
    for (size_t i = 0; i < text.size; i++) {
        int byte = (unsigned char)text.data[i];
        if (byte == '%') {
            byte = escape_decode(span_from(text, i));
            i += 2;
        }
        if (byte <= 0)
            return PATH_MALFORMED;
        decoded[size++] = (char)byte;
    }
    struct span span = {.data = decoded, .size = size};
    if (!utf8_valid(span))
        return PATH_MALFORMED;
    *ret_decoded = span;
    return PATH_SPLIT;
}

static size_t segments_count(struct span path)
{
    size_t count = 0;
    for (size_t i = 0; i < path.size; i++)
        count += path.data[i] == '/';
    return count;
}

enum path_split path_split(struct span path, struct arena *arena,
                           struct span ret_segments[static ROUTE_SEGMENTS_MAX], size_t *ret_count)
{
    struct span segments[ROUTE_SEGMENTS_MAX];
    if (!span_starts(path, "/"))
        return PATH_MALFORMED;
    size_t count = segments_count(path);
    if (count > ROUTE_SEGMENTS_MAX)
        return PATH_TOO_DEEP;
    struct span rest = span_from(path, 1);
    for (size_t i = 0; i < count; i++) {
        enum path_split result = segment_decode(span_split(&rest, '/'), arena, &segments[i]);
        if (result != PATH_SPLIT)
            return result;
    }
    memcpy(ret_segments, segments, count * sizeof segments[0]);
    *ret_count = count;
    return PATH_SPLIT;
}

/* RFC 3986, section 3.3: pchar, and '%' for an escape; beyond it any character that is not ASCII.
 */
static bool is_path_byte(char byte)
{
    bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
    bool digit = byte >= '0' && byte <= '9';
    return letter || digit || (byte && strchr("-._~!$&'()*+,;=:@%", byte)) ||
           (unsigned char)byte >= 0x80;
}

static const char *literal_problem(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '?' || text.data[i] == '#')
            return "a path has no query and no fragment; query parameters are declared by @param";
        if (text.data[i] == '{' || text.data[i] == '}')
            return "a {name} must be a whole segment, as in /users/{id}";
        if (!is_path_byte(text.data[i]))
            return "this character must be percent-encoded in a path";
    }
    if (span_is(text, ".") || span_is(text, ".."))
        return "\".\" and \"..\" never arrive: clients resolve them (RFC 3986, section 5.2.4)";
    return NULL;
}

static bool literal_parse(struct span text, struct arena *arena, struct path_segment *ret_segment,
                          const char **ret_problem)
{
    const char *problem = literal_problem(text);
    if (problem) {
        *ret_problem = problem;
        return false;
    }
    struct span decoded;
    enum path_split result = segment_decode(text, arena, &decoded);
    if (result == PATH_SPLIT) {
        *ret_segment = (struct path_segment){.text = decoded};
        return true;
    }
    *ret_problem = result == PATH_MALFORMED
                       ? "a percent-escape must be % and two hexadecimal digits, UTF-8 and not %00"
                       : NULL;
    return false;
}

static bool is_place(struct span text)
{
    return text.size >= 2 && text.data[0] == '{' && span_find(text, '}') == text.size - 1;
}

static bool name_taken(const struct path *path, struct span name)
{
    for (size_t i = 0; i < path->count; i++)
        if (path->segments[i].parameter && span_equal(path->segments[i].text, name))
            return true;
    return false;
}

static bool place_parse(struct span text, const struct path *path, struct path_segment *ret_segment,
                        const char **ret_problem)
{
    struct span name = {.data = text.data + 1, .size = text.size - 2};
    *ret_problem = !path_is_name(name)
                       ? "a {name} has small letters, digits and '_', and no digit first"
                   : name_taken(path, name) ? "this {name} stands in the path twice"
                                            : NULL;
    if (*ret_problem)
        return false;
    *ret_segment = (struct path_segment){.text = name, .parameter = true};
    return true;
}

static bool segment_add(struct path *path, struct span text, bool last, struct arena *arena,
                        const char **ret_problem)
{
    *ret_problem = path->count == ROUTE_SEGMENTS_MAX ? "a path has at most 32 segments"
                   : text.size == 0 && !last
                       ? "a path has no empty segment (two slashes), but may end with a slash"
                       : NULL;
    if (*ret_problem)
        return false;
    struct path_segment segment;
    bool fits = is_place(text) ? place_parse(text, path, &segment, ret_problem)
                               : literal_parse(text, arena, &segment, ret_problem);
    if (fits)
        path->segments[path->count++] = segment;
    return fits;
}

_Static_assert(ROUTE_SEGMENTS_MAX == 32, "the texts above say 32");

bool path_parse(struct span text, struct arena *arena, struct path *ret_path, struct span *ret_at,
                const char **ret_problem)
{
    struct path path = {.count = 0};
    if (!span_starts(text, "/")) {
        *ret_at = text;
        *ret_problem = "a path begins with '/', as in /users/{id}";
        return false;
    }
    struct span rest = span_from(text, 1);
    do {
        struct span part = span_split(&rest, '/');
        if (!segment_add(&path, part, !rest.data, arena, ret_problem)) {
            *ret_at = part;
            return false;
        }
    } while (rest.data);
    *ret_path = path;
    return true;
}
