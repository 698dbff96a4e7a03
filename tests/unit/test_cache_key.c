#include "unit.h"

#include <stdio.h>

#include "cache/key.h"

static struct value text_value(const char *text)
{
    return (struct value){.state = VALUE_TEXT, .text = span_of(text)};
}

static const char *key(const char *name, const struct value *values, size_t count,
                       struct bytes *out)
{
    struct cache_version version;
    struct error error;
    bytes_clear(out);
    assert_true(cache_version_of(SPAN_LITERAL("SELECT 1"), &version, &error));
    assert_true(cache_key_write("larder", &version, name, values, count, out, &error));
    return bytes_text(out);
}

static void a_key_is_readable(void **state)
{
    struct bytes out = BYTES_EMPTY;
    const struct value values[] = {text_value("20"), text_value("0")};
    (void)state;
    assert_string_equal(key("GET /feeds", values, 2, &out),
                        "larder:e:ab5c828b590fda87:GET /feeds:2:20,1:0,");
    bytes_free(&out);
}

static void null_empty_and_absent_differ(void **state)
{
    struct bytes a = BYTES_EMPTY, b = BYTES_EMPTY;
    const struct value values[] = {
        {.state = VALUE_ABSENT}, {.state = VALUE_NULL}, {.state = VALUE_TEXT, .text = {"", 0}},
        text_value("-"),         text_value("~"),       text_value("0:")};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(values); i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(key("GET /", &values[i], 1, &a),
                                    key("GET /", &values[j], 1, &b));
    bytes_free(&a);
    bytes_free(&b);
}

static void a_value_can_not_imitate_two(void **state)
{
    struct bytes a = BYTES_EMPTY, b = BYTES_EMPTY;
    const struct value one[] = {text_value("a,1:b"), {.state = VALUE_NULL}};
    const struct value two[] = {text_value("a"), text_value("b")};
    const struct value shifted[] = {text_value("ab"), text_value("")};
    (void)state;
    assert_string_not_equal(key("GET /", one, 2, &a), key("GET /", two, 2, &b));
    assert_string_not_equal(key("GET /", shifted, 2, &a), key("GET /", two, 2, &b));
    bytes_free(&a);
    bytes_free(&b);
}

static void a_long_key_is_hashed_and_still_tells_values_apart(void **state)
{
    struct bytes a = BYTES_EMPTY, b = BYTES_EMPTY;
    char long_text[400];
    (void)state;
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    const struct value first = text_value(long_text);
    key("GET /", &first, 1, &a);
    assert_in_range(a.size, 1, CACHE_KEY_MAX);
    assert_memory_equal(a.data, "larder:e:ab5c828b590fda87:#", 27);
    char other_text[400];
    memcpy(other_text, long_text, sizeof other_text);
    other_text[398] = 'y';
    const struct value second = text_value(other_text);
    assert_string_not_equal(key("GET /", &second, 1, &b), bytes_text(&a));
    bytes_free(&a);
    bytes_free(&b);
}

static void another_text_of_the_file_is_another_version(void **state)
{
    struct cache_version one, two;
    (void)state;
    assert_true(cache_version_of(SPAN_LITERAL("SELECT 1"), &one, NULL));
    assert_true(cache_version_of(SPAN_LITERAL("SELECT 1 "), &two, NULL));
    assert_string_not_equal(one.hex, two.hex);
    assert_true(one.number != two.number);
}

static void what_was_written_is_read(void **state)
{
    struct bytes out = BYTES_EMPTY;
    struct arena *arena = arena_new();
    const struct value values[] = {text_value("12:3,-,"),
                                   {.state = VALUE_NULL},
                                   {.state = VALUE_ABSENT},
                                   text_value(""),
                                   text_value("z\xc3\xbcge")};
    struct value read[5];
    struct cache_key taken;
    (void)state;
    key("GET /a:1/{b}", values, 5, &out);
    assert_true(cache_key_read("larder", bytes_span(&out), &taken));
    assert_true(span_is(taken.version, "ab5c828b590fda87"));
    assert_false(taken.hashed);
    assert_true(cache_key_values(&taken, "GET /a:1/{b}", arena, read, 5));
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(read[i].state, values[i].state);
        assert_true(span_equal(read[i].text, values[i].text));
    }
    assert_string_equal(read[4].text.data, "z\xc3\xbcge");
    assert_false(cache_key_values(&taken, "GET /a:1/{b}", arena, read, 4));
    assert_false(cache_key_values(&taken, "GET /a", arena, read, 5));
    arena_free(arena);
    bytes_free(&out);
}

static void a_hashed_key_has_no_values(void **state)
{
    struct bytes out = BYTES_EMPTY;
    struct arena *arena = arena_new();
    char long_text[400];
    struct cache_key taken;
    struct value read;
    (void)state;
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    const struct value value = text_value(long_text);
    key("GET /", &value, 1, &out);
    assert_true(cache_key_read("larder", bytes_span(&out), &taken));
    assert_true(taken.hashed);
    assert_false(cache_key_values(&taken, "GET /", arena, &read, 1));
    arena_free(arena);
    bytes_free(&out);
}

static void what_is_no_key_is_refused(void **state)
{
    static const char *const foreign[] = {"",
                                          "larder",
                                          "larder:e:",
                                          "larder:e:ab5c828b590fda87",
                                          "larder:l:ab5c828b590fda87:GET /:",
                                          "other:e:ab5c828b590fda87:GET /:",
                                          "larder:e:ab5c828b590fda8:GET /:"};
    static const char *const broken[] = {"",      "3",     "3:",
                                         "3:ab",  "3:abc", "3:abcd,",
                                         "x,",    "-",     "99999999999999999999999999:a,",
                                         "1:a,x", "-,-,",  ":a,"};
    struct arena *arena = arena_new();
    struct cache_key taken;
    struct value read;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(foreign); i++)
        assert_false(cache_key_read("larder", span_of(foreign[i]), &taken));
    for (size_t i = 0; i < ARRAY_COUNT(broken); i++) {
        char text[128];
        snprintf(text, sizeof text, "larder:e:ab5c828b590fda87:GET /:%s", broken[i]);
        assert_true(cache_key_read("larder", span_of(text), &taken));
        assert_false(cache_key_values(&taken, "GET /", arena, &read, 1));
    }
    arena_free(arena);
}

UNIT_MAIN(cmocka_unit_test(a_key_is_readable), cmocka_unit_test(null_empty_and_absent_differ),
          cmocka_unit_test(a_value_can_not_imitate_two),
          cmocka_unit_test(a_long_key_is_hashed_and_still_tells_values_apart),
          cmocka_unit_test(another_text_of_the_file_is_another_version),
          cmocka_unit_test(what_was_written_is_read), cmocka_unit_test(a_hashed_key_has_no_values),
          cmocka_unit_test(what_is_no_key_is_refused))
