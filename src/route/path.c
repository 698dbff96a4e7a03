#include "route/path.h"

#include "base/utf8.h"
#include "http/target.h"

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
    struct error error = {0};
    if (percent_decode(text, false, arena, &decoded, &error) && utf8_valid(decoded)) {
        *ret_segment = (struct path_segment){.text = decoded};
        return true;
    }
    *ret_problem = error.kind == ERROR_MEMORY ? NULL
                                              : "a percent-escape must be % and two hexadecimal "
                                                "digits, UTF-8 and not %00";
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
