#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/csv.h"

static void takes_the_line_end_off(void **state)
{
    (void)state;
    assert_true(span_is(csv_row(SPAN_LITERAL("a,b\n")), "a,b"));
    assert_true(span_is(csv_row(SPAN_LITERAL("\"a\n\"\n")), "\"a\n\""));
    assert_true(span_is(csv_row(SPAN_LITERAL("\n")), ""));
    assert_true(span_is(csv_row(SPAN_LITERAL("")), ""));
}

static const struct guard_case {
    const char *row, *guarded;
} cases[] = {
    {"\n", ""},
    {"a,b\n", "a,b"},
    {",,\n", ",,"},
    {"=1,+1,-1,@1\n", "'=1,+1,-1,'@1"},
    {"+a,-a,=,+,-,@\n", "'+a,'-a,'=,'+,'-,'@"},
    {"\tx,\"\rx\",\"\nx\"\n", "'\tx,\"'\rx\",\"'\nx\""},
    {"-1.5,+0,-1e3,-1.5E-10,1e+5\n", "-1.5,+0,-1e3,-1.5E-10,1e+5"},
    {"-1.,-.5,-1e,-1e+,-1-1,-1 \n", "'-1.,'-.5,'-1e,'-1e+,'-1-1,'-1 "},
    {"\"=a,\"\"b\"\"\",c\n", "\"'=a,\"\"b\"\"\",c"},
    {"\"\"\"=a\",\"\",\"a,=b\"\n", "\"\"\"=a\",\"\",\"a,=b\""},
    {"\"-1,5\"\n", "\"'-1,5\""},
    {"a,\"=", "a,\"'="},
    {"\uff1da,\uff0b1,\uff0d1,\"\uff20a,b\"\n", "'\uff1da,'\uff0b1,'\uff0d1,\"'\uff20a,b\""},
    {"\uff1c,\xef\xbc\n", "\uff1c,\xef\xbc"},
};

static void guards_what_begins_as_a_formula(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bytes out = BYTES_EMPTY;
        csv_row_guarded(span_of(cases[i].row), &out);
        assert_string_equal(bytes_text(&out), cases[i].guarded);
        bytes_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_line_end_off),
        cmocka_unit_test(guards_what_begins_as_a_formula),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
