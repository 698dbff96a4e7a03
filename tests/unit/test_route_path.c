#include "unit.h"

#include <stdio.h>

#include "base/bytes.h"
#include "route/path.h"

/* Segments with "|" between; parameters with a ':' in front. */
static const struct {
    const char *text, *segments, *problem;
} templates[] = {
    {"/", "", NULL},
    {"/a", "a", NULL},
    {"/a/", "a|", NULL},
    {"/users/{id}/feeds/{feed_2}", "users|:id|feeds|:feed_2", NULL},
    {"/a%20b/%7Bx%7D/a%2Fb", "a b|{x}|a/b", NULL},
    {"/caf\xc3\xa9/%C3%A9", "caf\xc3\xa9|\xc3\xa9", NULL},
    {"/a.b/...", "a.b|...", NULL},
    {"a", NULL, "a path begins with '/', as in /users/{id}"},
    {"", NULL, "a path begins with '/', as in /users/{id}"},
    {"//", NULL, "a path has no empty segment (two slashes), but may end with a slash"},
    {"/a//b", NULL, "a path has no empty segment (two slashes), but may end with a slash"},
    {"/a?b=1", NULL,
     "a path has no query and no fragment; query parameters are declared by @param"},
    {"/a#b", NULL, "a path has no query and no fragment; query parameters are declared by @param"},
    {"/a{id}", NULL, "a {name} must be a whole segment, as in /users/{id}"},
    {"/{id}.json", NULL, "a {name} must be a whole segment, as in /users/{id}"},
    {"/{id", NULL, "a {name} must be a whole segment, as in /users/{id}"},
    {"/{}", NULL, "a {name} has small letters, digits and '_', and no digit first"},
    {"/{Id}", NULL, "a {name} has small letters, digits and '_', and no digit first"},
    {"/{1d}", NULL, "a {name} has small letters, digits and '_', and no digit first"},
    {"/{id}/{id}", NULL, "this {name} stands in the path twice"},
    {"/../a", NULL,
     "\".\" and \"..\" never arrive: clients resolve them (RFC 3986, section 5.2.4)"},
    {"/a\"b", NULL, "this character must be percent-encoded in a path"},
    {"/%zz", NULL, "a percent-escape must be % and two hexadecimal digits, UTF-8 and not %00"},
    {"/%4", NULL, "a percent-escape must be % and two hexadecimal digits, UTF-8 and not %00"},
    {"/%00", NULL, "a percent-escape must be % and two hexadecimal digits, UTF-8 and not %00"},
    {"/%ff", NULL, "a percent-escape must be % and two hexadecimal digits, UTF-8 and not %00"},
    {"/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3", NULL,
     "a path has at most 32 segments"},
};

static void reads_templates(void **state)
{
    struct arena *arena = arena_new();
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(templates); i++) {
        struct bytes written CLEANUP(bytes_free) = BYTES_EMPTY;
        struct path path;
        struct span at;
        const char *problem;
        if (!path_parse(span_of(templates[i].text), arena, &path, &at, &problem)) {
            assert_non_null(templates[i].problem);
            assert_string_equal(problem, templates[i].problem);
            continue;
        }
        for (size_t s = 0; s < path.count; s++)
            bytes_append_format(&written, "%s%s%.*s", s ? "|" : "",
                                path.segments[s].parameter ? ":" : "",
                                SPAN_PRINTF(path.segments[s].text));
        assert_non_null(templates[i].segments);
        assert_string_equal(bytes_text(&written), templates[i].segments);
    }
    arena_free(arena);
}

UNIT_MAIN(cmocka_unit_test(reads_templates))
