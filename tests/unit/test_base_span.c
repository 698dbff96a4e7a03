#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/span.h"

static void a_null_text_is_an_empty_span(void **state)
{
    (void)state;
    assert_null(span_of(NULL).data);
    assert_int_equal(span_of(NULL).size, 0);
    assert_int_equal(span_of("abc").size, 3);
    assert_int_equal(SPAN_LITERAL("a\0b").size, 3);
}

static const struct equal_case {
    struct span a, b;
    bool equal;
} equals[] = {
    {{NULL, 0}, {NULL, 0}, true},      {{NULL, 0}, {"", 0}, true},
    {{"abc", 3}, {"abc", 3}, true},    {{"abc", 2}, {"abd", 2}, true},
    {{"abc", 3}, {"abd", 3}, false},   {{"abc", 3}, {"abcd", 4}, false},
    {{"a\0b", 3}, {"a\0c", 3}, false}, {{"a", 1}, {"A", 1}, false},
};

static void compares_all_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(equals); i++) {
        assert_int_equal(span_equal(equals[i].a, equals[i].b), equals[i].equal);
        assert_int_equal(span_equal(equals[i].b, equals[i].a), equals[i].equal);
    }
}

static void compares_with_a_text(void **state)
{
    (void)state;
    assert_true(span_is(SPAN_LITERAL("abc"), "abc"));
    assert_false(span_is(SPAN_LITERAL("abc\0"), "abc"));
    assert_true(span_is((struct span){0}, ""));
    assert_true(span_is_nocase(SPAN_LITERAL("GZip"), "gzip"));
    assert_false(span_is_nocase(SPAN_LITERAL("gzi"), "gzip"));
    assert_false(span_is_nocase(SPAN_LITERAL("gzipp"), "gzip"));
    assert_false(span_is_nocase(SPAN_LITERAL("g\0zp"), "g"));
    assert_true(span_is_nocase((struct span){0}, ""));
}

static void knows_what_it_starts_with(void **state)
{
    (void)state;
    assert_true(span_starts(SPAN_LITERAL("abc"), "ab"));
    assert_true(span_starts(SPAN_LITERAL("abc"), ""));
    assert_false(span_starts(SPAN_LITERAL("ab"), "abc"));
    assert_false(span_starts((struct span){0}, "a"));
}

static const struct trim_case {
    const char *text;
    const char *trimmed;
} trims[] = {
    {"", ""},     {" ", ""},           {" \t \t", ""},     {"a", "a"},       {" a", "a"},
    {"a\t", "a"}, {"  a b\t ", "a b"}, {"\na\n", "\na\n"}, {"\r a", "\r a"},
};

static void trims_spaces_and_tabs(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(trims); i++)
        assert_true(span_is(span_trim(span_of(trims[i].text)), trims[i].trimmed));
    assert_int_equal(span_trim((struct span){0}).size, 0);
}

static void finds_the_first_byte(void **state)
{
    (void)state;
    assert_int_equal(span_find(SPAN_LITERAL("a,b,c"), ','), 1);
    assert_int_equal(span_find(SPAN_LITERAL("abc"), ','), 3);
    assert_int_equal(span_find(SPAN_LITERAL("ab\0c"), '\0'), 2);
    assert_int_equal(span_find((struct span){"a,b", 1}, ','), 1);
    assert_int_equal(span_find((struct span){0}, ','), 0);
}

static const struct split_case {
    const char *text;
    const char *parts; /* each followed by "|" */
} splits[] = {
    {"", "|"}, {"a", "a|"}, {"a,b", "a|b|"}, {",", "||"}, {"a,", "a||"}, {",a", "|a|"},
};

static void splits_into_all_parts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(splits); i++) {
        char joined[40] = "";
        struct span rest = span_of(splits[i].text);
        size_t parts = 0;
        size_t told = span_parts(rest, ',');
        while (rest.data) {
            parts++;
            struct span part = span_split(&rest, ',');
            size_t used = strlen(joined);
            snprintf(joined + used, sizeof joined - used, "%.*s|", SPAN_PRINTF(part));
        }
        assert_string_equal(joined, splits[i].parts);
        assert_int_equal(told, parts);
    }
}

static const struct {
    const char *text;
    uint64_t most, number;
    bool good;
} numbers[] = {
    {"0", 0, 0, true},
    {"1", 0, 0, false},
    {"7", 5, 0, false},
    {"00042", 42, 42, true},
    {"43", 42, 0, false},
    {"", 42, 0, false},
    {"-1", 42, 0, false},
    {"+1", 42, 0, false},
    {" 1", 42, 0, false},
    {"1x", 42, 0, false},
    {"18446744073709551615", UINT64_MAX, UINT64_MAX, true},
    {"18446744073709551616", UINT64_MAX, 0, false},
    {"99999999999999999999", UINT64_MAX, 0, false},
};

static void reads_whole_numbers_up_to_a_bound(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        uint64_t number = 12345;
        bool good = span_number(span_of(numbers[i].text), numbers[i].most, &number);
        assert_int_equal(good, numbers[i].good);
        assert_true(number == (good ? numbers[i].number : 12345));
    }
}

static void takes_so_many_digits(void **state)
{
    (void)state;
    struct span rest = span_of("20261231x");
    int number = -1;
    assert_true(span_digits_take(&rest, 4, &number));
    assert_int_equal(number, 2026);
    assert_true(span_digits_take(&rest, 4, &number));
    assert_int_equal(number, 1231);
    assert_false(span_digits_take(&rest, 1, &number));
    assert_false(span_digits_take(&rest, 2, &number));
    assert_int_equal(number, 1231);
    assert_true(span_is(rest, "x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_null_text_is_an_empty_span),
        cmocka_unit_test(compares_all_bytes),
        cmocka_unit_test(compares_with_a_text),
        cmocka_unit_test(knows_what_it_starts_with),
        cmocka_unit_test(trims_spaces_and_tabs),
        cmocka_unit_test(finds_the_first_byte),
        cmocka_unit_test(splits_into_all_parts),
        cmocka_unit_test(reads_whole_numbers_up_to_a_bound),
        cmocka_unit_test(takes_so_many_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
