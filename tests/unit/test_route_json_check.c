#include "unit.h"

#include <stdlib.h>

#include "route/json_check.h"

static void takes_json(void **state)
{
    static const char *const texts[] = {
        "null",
        " true ",
        "false",
        "0",
        "-0.5e+10",
        "12E-3",
        "\"\"",
        "\"\xc3\xa9\\u00e9\\ud83d\\ude00\\n\\\"\"",
        "[]",
        "[1,[2],{}]",
        "{\"a\":1,\"a\":{\"b\":[null]}}",
        "\t\r\n[ 1 , 2 ]\n",
    };
    size_t offset;
    const char *why;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        if (!json_check(span_of(texts[i]), &offset, &why))
            fail_msg("%s: %s", texts[i], why);
}

static void refuses_what_is_none(void **state)
{
    static const struct {
        const char *text, *why;
        size_t offset;
    } texts[] = {
        {"", "a JSON value was expected", 0},
        {"nul", "a JSON value was expected", 0},
        {"nullx", "the value ends before the text does", 4},
        {"01", "the value ends before the text does", 1},
        {"-", "a digit was expected", 1},
        {"1.", "a digit was expected", 2},
        {"1e", "a digit was expected", 2},
        {"+1", "a JSON value was expected", 0},
        {"\"a", "a text is not closed", 2},
        {"\"a\nb\"", "a control character in a text must be escaped", 2},
        {"\"\\x\"", "an unknown escape in a text", 2},
        {"\"\\u12g4\"", "\\u needs four hexadecimal digits", 5},
        {"\"\\u0000\"", "\\u0000 is not allowed", 7},
        {"\"\\ud800\"", "half of a surrogate pair is not allowed", 7},
        {"\"\\ud800\\u0041\"", "half of a surrogate pair is not allowed", 13},
        {"\"\\udc00\"", "half of a surrogate pair is not allowed", 7},
        {"\"\xff\"", "not UTF-8", 1},
        {"[1,]", "a JSON value was expected", 3},
        {"[1 2]", "',' or ']' was expected", 3},
        {"{\"a\"}", "':' was expected", 4},
        {"{a:1}", "a text in double quotes was expected", 1},
        {"{\"a\":1,}", "a text in double quotes was expected", 7},
        {"{\"a\":1", "',' or '}' was expected", 6},
        {"'a'", "a JSON value was expected", 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        size_t offset;
        const char *why;
        assert_false(json_check(span_of(texts[i].text), &offset, &why));
        assert_string_equal(why, texts[i].why);
        assert_int_equal(offset, texts[i].offset);
    }
}

static void bounds_the_depth(void **state)
{
    static char text[200000];
    size_t offset;
    const char *why;
    (void)state;
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    struct span deepest = {.data = text, .size = 2 * JSON_DEPTH_MAX};
    assert_true(json_check(deepest, &offset, &why));
    memset(text, '[', sizeof text);
    assert_false(json_check((struct span){.data = text, .size = sizeof text}, &offset, &why));
    assert_string_equal(why, "nested deeper than 64 levels");
}

UNIT_MAIN(cmocka_unit_test(takes_json), cmocka_unit_test(refuses_what_is_none),
          cmocka_unit_test(bounds_the_depth))
