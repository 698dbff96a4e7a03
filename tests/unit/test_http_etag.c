#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "http/etag.h"

/* Members that etag_next gives, written as "opaque" or "W:opaque" between spaces. */
static const struct list_case {
    const char *header;
    const char *expected;
} lists[] = {
    {"", ""},
    {" \t ", ""},
    {",,,", ""},
    {"\"xyzzy\"", "xyzzy"},
    {"W/\"xyzzy\"", "W:xyzzy"},
    {"\"\"", "<>"},
    {"W/\"\"", "W:<>"},
    {"\"xyzzy\", \"r2d2xxxx\", \"c3piozzzz\"", "xyzzy r2d2xxxx c3piozzzz"},
    {"W/\"xyzzy\", W/\"r2d2xxxx\", W/\"c3piozzzz\"", "W:xyzzy W:r2d2xxxx W:c3piozzzz"},
    {"\"a\",\"b\"\t, \t\"c\"  ", "a b c"},
    {", ,\"a\",,, \"b\",", "a b"},
    {"\"a,b\", \"c\"", "a,b c"},
    {"\"a\\\", \"b\"", "a\\ b"},
    {"\"!#\x80\xff\x7e\"", "!#\x80\xff\x7e"},
    /* malformed members, which must not hide the ones after them */
    {"a, \"b\"", "b"},
    {"w/\"a\", \"b\"", "b"},
    {"W/a, W/\"b\"", "W:b"},
    {"W\"a\", \"b\"", "b"},
    {"W/ \"a\", \"b\"", "b"},
    {"W/", ""},
    {"W", ""},
    {"\"", ""},
    {"W/\"", ""},
    {"\"a", ""},
    {"\"a, \"b\"", "b"},
    {"\"a b\", \"c\"", "c"},
    {"\"a\x7f\", \"c\"", "c"},
    {"\"a\x01\", \"c\"", "c"},
    {"\"a\"x, \"b\"", "b"},
    {"\"a\" x, \"b\"", "b"},
    {"\"a\"\"b\", \"c\"", "c"},
    {"\"a\" \"b\", \"c\"", "c"},
    {"\"a\"; q=1, \"c\"", "c"},
    {"*, \"a\"", "a"},
    {"a\"b\"", ""},
    {"'a', \"b\"", "b"},
};

static void put(char *text, size_t room, const struct etag *etag)
{
    size_t used = strlen(text);
    snprintf(text + used, room - used, "%s%s%.*s", used ? " " : "", etag->weak ? "W:" : "",
             etag->opaque.size ? (int)etag->opaque.size : 2,
             etag->opaque.size ? etag->opaque.data : "<>");
}

static void gives_each_well_formed_tag(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        char found[200] = "";
        struct span rest = span_of(lists[i].header);
        struct etag etag;
        while (etag_next(&rest, &etag))
            put(found, sizeof found, &etag);
        assert_string_equal(found, lists[i].expected);
    }
}

static void sees_a_nul_as_malformed(void **state)
{
    (void)state;
    struct span rest = SPAN_LITERAL("\"a\0b\", \"c\"");
    struct etag etag;
    assert_true(etag_next(&rest, &etag));
    assert_true(span_is(etag.opaque, "c"));
    assert_false(etag_next(&rest, &etag));
}

static void an_absent_header_has_no_tags(void **state)
{
    (void)state;
    struct span rest = {0};
    struct etag etag;
    assert_false(etag_next(&rest, &etag));
}

static const struct match_case {
    const char *header;
    bool weak, strong;
} matches[] = {
    /* RFC 9110, section 8.8.3.2, with "1" as the current tag */
    {"W/\"1\"", true, false},
    {"W/\"2\"", false, false},
    {"\"1\"", true, true},
    {"\"2\"", false, false},
    /* the variants */
    {"\"1-gz\"", true, true},
    {"W/\"1-br\"", true, false},
    {"\"1-\"", false, false},
    {"\"1-GZ\"", false, false},
    {"\"x\", \"y\", \"1-br\"", true, true},
    {"W/\"1\", \"1-gz\"", true, true},
    {"*", true, true},
    {" *\t", true, true},
    {"**", false, false},
    {"\"*\"", false, false},
    {"W/*", false, false},
    {"\"x\", *", false, false},
    {"1", false, false},
    {"\"1", false, false},
    {"1\"", false, false},
    {"broken, \"1\"", true, true},
    {"", false, false},
};

static void compares_with_every_variant(void **state)
{
    (void)state;
    const struct span tags[] = {SPAN_LITERAL("1"), SPAN_LITERAL("1-gz"), SPAN_LITERAL("1-br")};
    for (size_t i = 0; i < ARRAY_COUNT(matches); i++) {
        struct span header = span_of(matches[i].header);
        assert_int_equal(etag_list_matches_weak(header, tags, 3), matches[i].weak);
        assert_int_equal(etag_list_matches_strong(header, tags, 3), matches[i].strong);
    }
}

static void without_tags_only_a_star_matches(void **state)
{
    (void)state;
    assert_false(etag_list_matches_weak(SPAN_LITERAL("\"1\", \"\""), NULL, 0));
    assert_true(etag_list_matches_weak(SPAN_LITERAL("*"), NULL, 0));
}

/* A hostile header must not cost more than its length. */
static void a_long_list_of_open_quotes_ends(void **state)
{
    (void)state;
    size_t size = 1 << 20;
    char *text = malloc(size);
    assert_non_null(text);
    for (size_t i = 0; i < size; i++)
        text[i] = ",\"a,W/"[i % 6];
    struct span tag = SPAN_LITERAL("1");
    assert_false(etag_list_matches_weak((struct span){text, size}, &tag, 1));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_each_well_formed_tag),
        cmocka_unit_test(sees_a_nul_as_malformed),
        cmocka_unit_test(an_absent_header_has_no_tags),
        cmocka_unit_test(compares_with_every_variant),
        cmocka_unit_test(without_tags_only_a_star_matches),
        cmocka_unit_test(a_long_list_of_open_quotes_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
