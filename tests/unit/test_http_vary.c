#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/vary.h"

static const struct vary_case {
    unsigned bits;
    const char *written;
} cases[] = {
    {0, ""},
    {VARY_ACCEPT_ENCODING, "Accept-Encoding"},
    {VARY_AUTHORIZATION, "Authorization"},
    {VARY_ORIGIN, "Origin"},
    {VARY_ACCEPT, "Accept"},
    {VARY_ORIGIN | VARY_ACCEPT_ENCODING, "Accept-Encoding, Origin"},
    {~0u, "Accept-Encoding, Authorization, Origin, Accept"},
};

static void writes_one_short_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bytes out = BYTES_EMPTY;
        vary_write(cases[i].bits, &out);
        assert_string_equal(bytes_text(&out), cases[i].written);
        assert_true(out.size <= VARY_MAX);
        bytes_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_one_short_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
