#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/link.h"

static void writes_one_or_several(void **state)
{
    (void)state;
    struct bytes out = BYTES_EMPTY;
    link_write(SPAN_LITERAL("/feeds?skip=20&limit=20"), "next", &out);
    assert_string_equal(bytes_text(&out), "</feeds?skip=20&limit=20>; rel=\"next\"");
    link_write(SPAN_LITERAL("/feeds"), "prev", &out);
    assert_string_equal(bytes_text(&out), "</feeds?skip=20&limit=20>; rel=\"next\", "
                                          "</feeds>; rel=\"prev\"");
    bytes_free(&out);
}

static void encodes_what_no_uri_may_hold(void **state)
{
    (void)state;
    struct bytes out = BYTES_EMPTY;
    link_write(SPAN_LITERAL("/a>b\r\n \"\\^`{|}<\xc3\xa9\x7f\0%20~-._[]"), "next", &out);
    assert_string_equal(bytes_text(&out), "</a%3Eb%0D%0A%20%22%5C%5E%60%7B%7C%7D%3C%C3%A9%7F%00"
                                          "%20~-._[]>; rel=\"next\"");
    bytes_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_one_or_several),
        cmocka_unit_test(encodes_what_no_uri_may_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
