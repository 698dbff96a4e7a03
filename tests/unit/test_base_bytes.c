#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bytes.h"

static void starts_as_empty_text(void **state)
{
    (void)state;
    struct bytes bytes = BYTES_EMPTY;
    assert_string_equal(bytes_text(&bytes), "");
    assert_int_equal(bytes_span(&bytes).size, 0);
    bytes_free(&bytes);
    bytes_free(NULL);
}

static void appends_in_every_way(void **state)
{
    (void)state;
    struct bytes bytes = BYTES_EMPTY;
    bytes_append(&bytes, "ab", 1);
    bytes_append(&bytes, NULL, 0);
    bytes_append_span(&bytes, SPAN_LITERAL("bc"));
    bytes_append_span(&bytes, (struct span){0});
    bytes_append_text(&bytes, "d");
    bytes_append_byte(&bytes, 'e');
    bytes_append_number(&bytes, -12);
    bytes_append_format(&bytes, "%s%03d", "f", 7);
    assert_string_equal(bytes_text(&bytes), "abcde-12f007");
    assert_int_equal(bytes.size, 12);
    bytes_free(&bytes);
    assert_null(bytes.data);
}

static void holds_nul_bytes(void **state)
{
    (void)state;
    struct bytes bytes = BYTES_EMPTY;
    bytes_append_byte(&bytes, '\0');
    bytes_append_span(&bytes, SPAN_LITERAL("a\0b"));
    assert_memory_equal(bytes.data, "\0a\0b", 5);
    assert_int_equal(bytes.size, 4);
    bytes_free(&bytes);
}

static void writes_every_number(void **state)
{
    (void)state;
    static const int64_t numbers[] = {0, 1, -1, 9, 10, 99, INT64_MAX, INT64_MIN, 10000000, -10};
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        struct bytes bytes = BYTES_EMPTY;
        char expected[32];
        snprintf(expected, sizeof expected, "%lld", (long long)numbers[i]);
        bytes_append_number(&bytes, numbers[i]);
        assert_string_equal(bytes_text(&bytes), expected);
        bytes_free(&bytes);
    }
}

static void stays_terminated_while_it_grows(void **state)
{
    (void)state;
    struct bytes bytes = BYTES_EMPTY;
    for (size_t i = 0; i < 5000; i++) {
        bytes_append_byte(&bytes, (char)('a' + i % 26));
        assert_int_equal(bytes.size, i + 1);
        assert_int_equal(bytes.data[bytes.size], 0);
    }
    for (size_t i = 0; i < 5000; i++)
        assert_int_equal(bytes.data[i], 'a' + i % 26);
    bytes_free(&bytes);
}

static void formats_beyond_its_capacity(void **state)
{
    (void)state;
    struct bytes bytes = BYTES_EMPTY;
    for (int width = 200; width < 300; width++) {
        bytes_clear(&bytes);
        bytes_append_format(&bytes, "%*d", width, 7);
        assert_int_equal(bytes.size, width);
        assert_int_equal(bytes.data[width - 1], '7');
        assert_int_equal(bytes.data[width], 0);
    }
    bytes_free(&bytes);
}

static void reserves_room_to_write_in(void **state)
{
    (void)state;
    struct bytes bytes = BYTES_EMPTY;
    bytes_append_text(&bytes, "ab");
    char *room = bytes_reserve(&bytes, 1000);
    assert_non_null(room);
    assert_ptr_equal(room, bytes.data + 2);
    memset(room, 'x', 1000);
    bytes.size += 1000;
    bytes_append_byte(&bytes, 'c');
    assert_int_equal(bytes.data[1002], 'c');
    bytes_free(&bytes);
}

static void a_failure_sticks_until_cleared(void **state)
{
    (void)state;
    struct bytes bytes = BYTES_EMPTY;
    bytes_append_text(&bytes, "ab");
    assert_null(bytes_reserve(&bytes, SIZE_MAX));
    assert_true(bytes.failed);
    bytes_append_text(&bytes, "cd");
    bytes_append_number(&bytes, 1);
    bytes_append_format(&bytes, "%d", 1);
    bytes_append_json(&bytes, SPAN_LITERAL("x"));
    assert_int_equal(bytes_span(&bytes).size, 0);
    assert_string_equal(bytes_text(&bytes), "");
    bytes_clear(&bytes);
    assert_false(bytes.failed);
    bytes_append_text(&bytes, "ef");
    assert_string_equal(bytes_text(&bytes), "ef");
    assert_null(bytes_reserve(&bytes, SIZE_MAX - bytes.size));
    bytes_free(&bytes);
    assert_false(bytes.failed);
}

static const struct json_case {
    struct span text;
    const char *json;
} jsons[] = {
    {{NULL, 0}, "\"\""},
    {SPAN_LITERAL("plain"), "\"plain\""},
    {SPAN_LITERAL("\"\\/"), "\"\\\"\\\\/\""},
    {SPAN_LITERAL("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\""},
    {SPAN_LITERAL("\0\x01\x1f\x7f"), "\"\\u0000\\u0001\\u001f\x7f\""},
    {SPAN_LITERAL("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
     "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
    {SPAN_LITERAL("\xff"), "\"\xef\xbf\xbd\""},
    {SPAN_LITERAL("\xc3"), "\"\xef\xbf\xbd\""},
    {SPAN_LITERAL("\xc3\""), "\"\xef\xbf\xbd\\\"\""},
    {SPAN_LITERAL("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\""},
    {SPAN_LITERAL("\xed\xa0\x80z"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\""},
};

static void writes_valid_json_strings(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(jsons); i++) {
        struct bytes bytes = BYTES_EMPTY;
        bytes_append_json(&bytes, jsons[i].text);
        assert_string_equal(bytes_text(&bytes), jsons[i].json);
        bytes_free(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_as_empty_text),
        cmocka_unit_test(appends_in_every_way),
        cmocka_unit_test(holds_nul_bytes),
        cmocka_unit_test(writes_every_number),
        cmocka_unit_test(stays_terminated_while_it_grows),
        cmocka_unit_test(formats_beyond_its_capacity),
        cmocka_unit_test(reserves_room_to_write_in),
        cmocka_unit_test(a_failure_sticks_until_cleared),
        cmocka_unit_test(writes_valid_json_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
