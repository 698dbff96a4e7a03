#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/header.h"

/* RFC 9110, section 5.6.2. */
#define TOKEN_BYTES "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

static void a_value_holds_no_control_but_tab(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char text[] = {'a', (char)byte, 'b'};
        bool allowed = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
        assert_int_equal(header_value_valid((struct span){text, 3}), allowed);
    }
}

static void a_control_counts_anywhere(void **state)
{
    (void)state;
    assert_true(header_value_valid((struct span){0}));
    assert_true(header_value_valid(SPAN_LITERAL("")));
    assert_false(header_value_valid(SPAN_LITERAL("\na")));
    assert_false(header_value_valid(SPAN_LITERAL("a\r")));
    assert_false(header_value_valid(SPAN_LITERAL("a\r\nSet-Cookie: b")));
    assert_false(header_value_valid(SPAN_LITERAL("a\0")));
}

static void a_token_holds_its_bytes_alone(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char text[] = {'a', (char)byte};
        bool allowed = byte != 0 && strchr(TOKEN_BYTES, byte) != NULL;
        assert_int_equal(header_token_valid((struct span){text, 2}), allowed);
    }
}

static void a_token_is_not_empty(void **state)
{
    (void)state;
    assert_false(header_token_valid(SPAN_LITERAL("")));
    assert_false(header_token_valid((struct span){0}));
    assert_true(header_token_valid(SPAN_LITERAL("X-Request-Id")));
}

static void measures_the_token_in_front(void **state)
{
    (void)state;
    assert_int_equal(header_token_size(SPAN_LITERAL("max-age=1")), 7);
    assert_int_equal(header_token_size(SPAN_LITERAL("token")), 5);
    assert_int_equal(header_token_size(SPAN_LITERAL(" token")), 0);
    assert_int_equal(header_token_size((struct span){0}), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_holds_no_control_but_tab),
        cmocka_unit_test(a_control_counts_anywhere),
        cmocka_unit_test(a_token_holds_its_bytes_alone),
        cmocka_unit_test(a_token_is_not_empty),
        cmocka_unit_test(measures_the_token_in_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
