#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "base/utf8.h"

/* Encodes by the definition of RFC 3629; surrogates and overlong forms too, when asked. */
static size_t encode(unsigned code, size_t length, char *ret_bytes)
{
    static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length; i-- > 1; code >>= 6)
        ret_bytes[i] = (char)(0x80 | (code & 0x3f));
    ret_bytes[0] = (char)(marks[length] | code);
    return length;
}

static size_t shortest(unsigned code)
{
    return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

static void takes_each_character_in_its_shortest_form(void **state)
{
    (void)state;
    for (unsigned code = 0; code < 0x200000; code++) {
        bool allowed = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        for (size_t length = shortest(code); length <= 4; length++) {
            char bytes[4];
            struct span text = {bytes, encode(code, length, bytes)};
            size_t expected = allowed && length == shortest(code) ? length : 0;
            if (utf8_character(text) != expected)
                fail_msg("U+%X in %zu bytes", code, length);
        }
    }
}

/* A cut character, in memory of just its size, is none. */
static void refuses_cut_characters(void **state)
{
    (void)state;
    static const char *const characters[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t i = 0; i < ARRAY_COUNT(characters); i++)
        for (size_t size = 1; size < strlen(characters[i]); size++) {
            char *cut = malloc(size);
            assert_non_null(cut);
            memcpy(cut, characters[i], size);
            assert_int_equal(utf8_character((struct span){cut, size}), 0);
            assert_false(utf8_valid((struct span){cut, size}));
            free(cut);
        }
    assert_int_equal(utf8_character((struct span){0}), 0);
}

static const struct text_case {
    struct span text;
    bool valid;
    size_t count;
} texts[] = {
    {{NULL, 0}, true, 0},
    {SPAN_LITERAL("a"), true, 1},
    {SPAN_LITERAL("a\0b"), true, 3},
    {SPAN_LITERAL("caf\xc3\xa9"), true, 4},
    {SPAN_LITERAL("\xe2\x82\xac\xf0\x9f\x98\x80"), true, 2},
    {SPAN_LITERAL("\xf4\x8f\xbf\xbf"), true, 1},
    {SPAN_LITERAL("\xf4\x90\x80\x80"), false, 0},
    {SPAN_LITERAL("\x80"), false, 0},
    {SPAN_LITERAL("a\xff"), false, 0},
    {SPAN_LITERAL("\xc3\x28"), false, 0},
    {SPAN_LITERAL("\xe2\x28\xa1"), false, 0},
    {SPAN_LITERAL("\xe2\x82\x28"), false, 0},
    {SPAN_LITERAL("\xf0\x9f\x98\x28"), false, 0},
    {SPAN_LITERAL("\xf8\x88\x80\x80\x80"), false, 0},
    {SPAN_LITERAL("\xed\xa0\x80\xed\xb0\x80"), false, 0},
    {SPAN_LITERAL("\xc0\x80"), false, 0},
};

static void checks_and_counts_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        assert_int_equal(utf8_valid(texts[i].text), texts[i].valid);
        if (texts[i].valid)
            assert_int_equal(utf8_count(texts[i].text), texts[i].count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_each_character_in_its_shortest_form),
        cmocka_unit_test(refuses_cut_characters),
        cmocka_unit_test(checks_and_counts_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
