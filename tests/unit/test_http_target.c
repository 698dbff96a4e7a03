#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "http/target.h"

#define SEGMENTS_MAX 8

static const struct split_case {
    const char *raw;
    const char *path;  /* null: refused */
    const char *query; /* null: there is none */
} splits[] = {
    {"/", "/", NULL},
    {"/?", "/", ""},
    {"/a/b", "/a/b", NULL},
    {"/a?b=c", "/a", "b=c"},
    {"/a?b=c?d=/e", "/a", "b=c?d=/e"},
    {"//", "//", NULL},
    {"//host/a", "//host/a", NULL},
    {"/a%2Fb%3F?c%23", "/a%2Fb%3F", "c%23"},
    {"/caf\xc3\xa9", "/caf\xc3\xa9", NULL},
    {"http://host/a?b", "/a", "b"},
    {"HTTPS://host:8443/a", "/a", NULL},
    {"http://host", "/", NULL},
    {"http://host/", "/", NULL},
    {"http://host?b", "/", "b"},
    {"http://host?", "/", ""},
    {"", NULL, NULL},
    {"*", NULL, NULL},
    {"a", NULL, NULL},
    {"?a", NULL, NULL},
    {"host:80", NULL, NULL},
    {"http://", NULL, NULL},
    {"http:///a", NULL, NULL},
    {"http://?a", NULL, NULL},
    {"http:/a", NULL, NULL},
    {"ftp://host/a", NULL, NULL},
    {"/a#b", NULL, NULL},
    {"/a?b#c", NULL, NULL},
    {"http://host#/a", NULL, NULL},
    {"/a b", NULL, NULL},
    {" /a", NULL, NULL},
    {"/a\r\nX: y", NULL, NULL},
    {"/a\tb", NULL, NULL},
    {"/a?\x7f", NULL, NULL},
};

static void splits_path_and_query(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(splits); i++) {
        struct span path = SPAN_LITERAL("untouched"), query = path;
        bool good = target_split(span_of(splits[i].raw), &path, &query);
        assert_int_equal(good, splits[i].path != NULL);
        assert_true(span_is(path, good ? splits[i].path : "untouched"));
        if (good)
            assert_int_equal(query.data != NULL, splits[i].query != NULL);
        assert_true(span_equal(query, good ? span_of(splits[i].query) : path));
    }
}

static void refuses_a_nul_and_nothing_at_all(void **state)
{
    (void)state;
    struct span path, query;
    assert_false(target_split(SPAN_LITERAL("/a\0b"), &path, &query));
    assert_false(target_split((struct span){0}, &path, &query));
}

static const struct decode_case {
    const char *raw;
    bool plus_is_space;
    const char *decoded; /* null: refused */
} decodes[] = {
    {"", false, ""},
    {"abc", false, "abc"},
    {"a%20b", false, "a b"},
    {"a+b", false, "a+b"},
    {"a+b", true, "a b"},
    {"+", true, " "},
    {"%2B+%2b", true, "+ +"},
    {"%2f%2F", false, "//"},
    {"%41%5a%7A", false, "AZz"},
    {"%c3%A9", false, "\xc3\xa9"},
    {"%ff", false, "\xff"}, /* UTF-8 is the caller's matter */
    {"%25", false, "%"},
    {"%2541", false, "%41"}, /* decoded once */
    {"%0a", false, "\n"},
    {"%", false, NULL},
    {"a%", false, NULL},
    {"%4", false, NULL},
    {"%%41", false, NULL},
    {"%4g", false, NULL},
    {"%g4", false, NULL},
    {"% 41", false, NULL},
    {"%-1", false, NULL},
    {"%0x", false, NULL},
    {"%u0041", false, NULL},
    {"%00", false, NULL},
    {"a%00b", true, NULL},
};

static void decodes_escapes(void **state)
{
    struct arena *arena = *state;
    for (size_t i = 0; i < ARRAY_COUNT(decodes); i++) {
        struct span decoded = SPAN_LITERAL("untouched");
        struct error error = {0};
        bool good = percent_decode(span_of(decodes[i].raw), decodes[i].plus_is_space, arena,
                                   &decoded, &error);
        assert_int_equal(good, decodes[i].decoded != NULL);
        assert_true(span_is(decoded, good ? decodes[i].decoded : "untouched"));
        assert_int_equal(error.kind, good ? ERROR_NONE : ERROR_INVALID);
    }
}

static void decodes_all_bytes_but_nul(void **state)
{
    struct arena *arena = *state;
    for (int byte = 1; byte < 256; byte++) {
        char raw[8];
        struct span decoded;
        struct error error;
        snprintf(raw, sizeof raw, "%%%02x", byte);
        assert_true(percent_decode(span_of(raw), false, arena, &decoded, &error));
        assert_int_equal(decoded.size, 1);
        assert_int_equal((unsigned char)decoded.data[0], byte);
    }
}

static void refuses_a_raw_nul(void **state)
{
    struct span decoded;
    struct error error = {0};
    assert_false(percent_decode(SPAN_LITERAL("a\0b"), false, *state, &decoded, &error));
    assert_int_equal(error.kind, ERROR_INVALID);
}

static void names_the_bad_escape(void **state)
{
    struct span decoded;
    struct error error = {0};
    assert_false(percent_decode(SPAN_LITERAL("a%zz"), false, *state, &decoded, &error));
    assert_string_equal(error.text, "\"a%zz\": \"%\" must be followed by two hexadecimal digits");
}

static void copies_nothing_that_needs_no_decoding(void **state)
{
    struct span raw = SPAN_LITERAL("plain+text"), decoded;
    struct error error;
    assert_true(percent_decode(raw, false, *state, &decoded, &error));
    assert_ptr_equal(decoded.data, raw.data);
    assert_true(percent_decode(raw, true, *state, &decoded, &error));
    assert_ptr_not_equal(decoded.data, raw.data);
}

/* Segments joined by "|"; "more": beyond SEGMENTS_MAX. */
static const struct segment_case {
    const char *path;
    const char *segments; /* null: refused */
} segment_cases[] = {
    {"/", ""},
    {"/a", "a"},
    {"/a/b", "a|b"},
    {"/a/", "a|"},
    {"//", "|"},
    {"//a", "|a"},
    {"/a//b", "a||b"},
    {"/a%2Fb/c", "a/b|c"},
    {"/a%2f..%2fb", "a/../b"},
    {"/a+b", "a+b"},
    {"/%61%20", "a "},
    {"/...", "..."},
    {"/.a/a./..a", ".a|a.|..a"},
    {"/caf%C3%A9/caf\xc3\xa9", "caf\xc3\xa9|caf\xc3\xa9"},
    {"/1/2/3/4/5/6/7/8", "1|2|3|4|5|6|7|8"},
    {"", NULL},
    {"a", NULL},
    {"/.", NULL},
    {"/..", NULL},
    {"/./a", NULL},
    {"/a/../b", NULL},
    {"/a/..", NULL},
    {"/%2e", NULL},
    {"/%2E%2e/a", NULL},
    {"/.%2e", NULL},
    {"/%2e.", NULL},
    {"/%", NULL},
    {"/a%00", NULL},
    {"/%ff", NULL},
    {"/\xff", NULL},
    {"/%c3/%a9", NULL},
    {"/%c0%af", NULL},
    {"/%ed%a0%80", NULL},
    {"/1/2/3/4/5/6/7/8/%", "more"},
    {"/1/2/3/4/5/6/7/8/9", "more"},
    {"/1/2/3/4/5/6/7/8/", "more"},
    {"/1/2/3/4/5/6/7/8/9/0", "more"},
};

static void join(char *text, size_t room, const struct span *segments, size_t count)
{
    snprintf(text, room, "%s", count > SEGMENTS_MAX ? "more" : "");
    for (size_t i = 0; i < count && count <= SEGMENTS_MAX; i++) {
        size_t used = strlen(text);
        snprintf(text + used, room - used, "%s%.*s", i ? "|" : "", SPAN_PRINTF(segments[i]));
    }
}

static void splits_before_it_decodes(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(segment_cases); i++) {
        struct span segments[SEGMENTS_MAX];
        size_t count = 99;
        struct error error = {0};
        char joined[100];
        bool good = target_segments(span_of(segment_cases[i].path), *state, segments, SEGMENTS_MAX,
                                    &count, &error);
        assert_int_equal(good, segment_cases[i].segments != NULL);
        assert_int_equal(error.kind, good ? ERROR_NONE : ERROR_INVALID);
        assert_true(good || count == 99);
        if (!good)
            continue;
        assert_in_range(count, 1, SEGMENTS_MAX + 1);
        join(joined, sizeof joined, segments, count);
        assert_string_equal(joined, segment_cases[i].segments);
    }
}

static int arena_make(void **state)
{
    *state = arena_new();
    return *state ? 0 : -1;
}

static int arena_drop(void **state)
{
    arena_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_path_and_query),
        cmocka_unit_test(refuses_a_nul_and_nothing_at_all),
        cmocka_unit_test(decodes_escapes),
        cmocka_unit_test(decodes_all_bytes_but_nul),
        cmocka_unit_test(refuses_a_raw_nul),
        cmocka_unit_test(names_the_bad_escape),
        cmocka_unit_test(copies_nothing_that_needs_no_decoding),
        cmocka_unit_test(splits_before_it_decodes),
    };
    return cmocka_run_group_tests(tests, arena_make, arena_drop);
}
