#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "http/query.h"

#define PAIRS_MAX 4

/* Pairs as "name=value", a missing value as "name", between "|". */
static const struct query_case {
    const char *raw;
    const char *pairs; /* null: refused */
} cases[] = {
    {NULL, ""},
    {"", ""},
    {"&", ""},
    {"&&&", ""},
    {"a=1", "a=1"},
    {"a=1&b=2", "a=1|b=2"},
    {"&a=1&&b=2&", "a=1|b=2"},
    {"b=2&a=1&b=3", "b=2|a=1|b=3"},
    {"a", "a"},
    {"a=", "a="},
    {"=", "="},
    {"=1", "=1"},
    {"a=b=c", "a=b=c"},
    {"a==", "a=="},
    {"a+b=c+d", "a b=c d"},
    {"a%2Bb=%26%3D", "a+b=&="},
    {"a;b=c", "a;b=c"},
    {"%61=%C3%A9", "a=\xc3\xa9"},
    {"a[]=1", "a[]=1"},
    {"a=%2541", "a=%41"},
    {"1&2&3&4", "1|2|3|4"},
    {"1&2&3&4&&", "1|2|3|4"},
    {"1&2&3&4&5", NULL},
    {"a=%", NULL},
    {"%=a", NULL},
    {"a=%4", NULL},
    {"a=%zz", NULL},
    {"a=%00", NULL},
    {"%00=a", NULL},
    {"a=%ff", NULL},
    {"%ff=a", NULL},
    {"a=\xff", NULL},
    {"a=%c3&b=%a9", NULL},
    {"a=%C0%80", NULL},
    {"a=%F4%90%80%80", NULL},
    {"ok=1&a=%", NULL},
};

static void pairs_write(const struct query_pair *pairs, size_t count, struct bytes *out)
{
    for (size_t i = 0; i < count; i++) {
        bytes_append_text(out, i ? "|" : "");
        bytes_append_span(out, pairs[i].name);
        bytes_append_text(out, pairs[i].has_value ? "=" : "");
        bytes_append_span(out, pairs[i].value);
    }
}

static void reads_pairs_in_order(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct query_pair pairs[PAIRS_MAX];
        size_t count = 99;
        struct error error = {0};
        bool good = query_parse(span_of(cases[i].raw), *state, pairs, PAIRS_MAX, &count, &error);
        assert_int_equal(good, cases[i].pairs != NULL);
        assert_int_equal(error.kind, good ? ERROR_NONE : ERROR_INVALID);
        assert_true(good || count == 99);
        if (!good)
            continue;
        struct bytes text = BYTES_EMPTY;
        pairs_write(pairs, count, &text);
        assert_string_equal(bytes_text(&text), cases[i].pairs);
        bytes_free(&text);
    }
}

static void tells_how_many_are_allowed(void **state)
{
    struct query_pair pairs[2];
    size_t count;
    struct error error = {0};
    assert_false(query_parse(SPAN_LITERAL("a&b&c"), *state, pairs, 2, &count, &error));
    assert_string_equal(error.text, "too many parameters: at most 2 are allowed");
    assert_true(query_parse(SPAN_LITERAL("&"), *state, NULL, 0, &count, &error));
    assert_int_equal(count, 0);
}

static void names_what_is_not_utf8(void **state)
{
    struct query_pair pairs[2];
    size_t count;
    struct error error = {0};
    assert_false(query_parse(SPAN_LITERAL("a=x%ff"), *state, pairs, 2, &count, &error));
    assert_string_equal(error.text, "\"x%ff\" among the parameters must be UTF-8");
}

static void refuses_a_raw_nul(void **state)
{
    struct query_pair pairs[2];
    size_t count;
    struct error error = {0};
    assert_false(query_parse(SPAN_LITERAL("a=b\0c"), *state, pairs, 2, &count, &error));
    assert_int_equal(error.kind, ERROR_INVALID);
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
        cmocka_unit_test(reads_pairs_in_order),
        cmocka_unit_test(tells_how_many_are_allowed),
        cmocka_unit_test(names_what_is_not_utf8),
        cmocka_unit_test(refuses_a_raw_nul),
    };
    return cmocka_run_group_tests(tests, arena_make, arena_drop);
}
