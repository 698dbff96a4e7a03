#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/disposition.h"

static const struct name_case {
    const char *name, *written;
} names[] = {
    {"export.csv", "attachment; filename=export.csv"},
    {"my export.csv", "attachment; filename=\"my export.csv\""},
    {"a;b=c.csv", "attachment; filename=\"a;b=c.csv\""},
    {"", "attachment; filename=\"\""},
    {"ä你.csv", "attachment; filename=\"__.csv\"; filename*=UTF-8''%C3%A4%E4%BD%A0.csv"},
    {"ä 100%", "attachment; filename=\"_ 100%\"; filename*=UTF-8''%C3%A4%20100%25"},
};

static void writes_names_that_browsers_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        struct bytes out = BYTES_EMPTY;
        disposition_write(span_of(names[i].name), &out);
        assert_string_equal(bytes_text(&out), names[i].written);
        bytes_free(&out);
    }
}

static const struct name_case values[] = {
    {"plain-1.x", "plain-1.x"},
    {"../../etc/passwd", ".._.._etc_passwd"},
    {"a\\b:c*d?e\"f<g>h|i%j", "a_b_c_d_e_f_g_h_i_j"},
    {"a\r\nX: y\tz\x7f", "a__X_ y_z_"},
    {"ä", "ä"},
};

static void lets_no_value_leave_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        struct bytes out = BYTES_EMPTY;
        disposition_append_safe(span_of(values[i].name), &out);
        assert_string_equal(bytes_text(&out), values[i].written);
        bytes_free(&out);
    }
    struct bytes out = BYTES_EMPTY;
    disposition_append_safe((struct span){.data = "a\0b", .size = 3}, &out);
    assert_string_equal(bytes_text(&out), "a_b");
    bytes_free(&out);
}

static void cuts_no_character_in_two(void **state)
{
    (void)state;
    char text[600];
    memset(text, 'x', sizeof text);
    struct span name = {.data = text, .size = sizeof text};
    assert_int_equal(disposition_cut(name, 4).size, 251);
    assert_int_equal(disposition_cut(span_first(name, 255), 0).size, 255);
    for (size_t i = 0; i + 1 < sizeof text; i += 2)
        memcpy(text + i, "ä", 2);
    assert_int_equal(disposition_cut(name, 4).size, 250);
    assert_int_equal(disposition_cut(name, 7).size, 248);
    assert_int_equal(disposition_cut(span_first(name, 252), 4).size, 250);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_names_that_browsers_read),
        cmocka_unit_test(lets_no_value_leave_its_place),
        cmocka_unit_test(cuts_no_character_in_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
