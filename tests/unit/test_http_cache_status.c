#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/cache_status.h"

static const struct status_case {
    struct cache_status status;
    const char *written;
} cases[] = {
    {{0}, "larder"},
    {{.hit = true, .has_ttl = true, .ttl = 212, .detail = "redis"},
     "larder; hit; ttl=212; detail=redis"},
    {{.hit = true}, "larder; hit"},
    {{.hit = true, .has_ttl = true, .ttl = 0}, "larder; hit; ttl=0"},
    {{.hit = true, .has_ttl = true, .ttl = -30}, "larder; hit; ttl=-30"},
    {{.ttl = 5}, "larder"},
    {{.forward = "uri-miss", .stored = true}, "larder; fwd=uri-miss; stored"},
    {{.forward = "bypass", .detail = "redis-down"}, "larder; fwd=bypass; detail=redis-down"},
    {{.forward = "bypass"}, "larder; fwd=bypass"},
    {{.forward = "stale", .collapsed = true}, "larder; fwd=stale; collapsed"},
    {{.forward = "uri-miss", .stored = true, .collapsed = true, .has_ttl = true, .ttl = 300},
     "larder; fwd=uri-miss; stored; collapsed; ttl=300"},
    /* RFC 9211, section 2.1: hit and fwd exclude each other */
    {{.hit = true, .forward = "stale", .stored = true, .collapsed = true}, "larder; hit"},
    /* RFC 8941: a token or a string */
    {{.detail = "a/b:c*!"}, "larder; detail=a/b:c*!"},
    {{.detail = "*"}, "larder; detail=*"},
    {{.detail = ""}, "larder; detail=\"\""},
    {{.detail = "1st"}, "larder; detail=\"1st\""},
    {{.detail = "-a"}, "larder; detail=\"-a\""},
    {{.detail = "two words"}, "larder; detail=\"two words\""},
    {{.detail = "a;b=c, d"}, "larder; detail=\"a;b=c, d\""},
    {{.detail = "a\"b\\c"}, "larder; detail=\"a\\\"b\\\\c\""},
    {{.detail = "a\r\nb\x7f\xc3\xa9"}, "larder; detail=\"a??b???\""},
};

static void writes_the_parameters_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bytes out = BYTES_EMPTY;
        cache_status_write(&cases[i].status, &out);
        assert_string_equal(bytes_text(&out), cases[i].written);
        bytes_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_parameters_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
