#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "http/field.h"

static const struct members_case {
    const char *header;
    const char *members; /* between "|" */
} members_cases[] = {
    {"", ""},
    {" , ,\t,", ""},
    {"a", "a"},
    {" a , b\t,c", "a|b|c"},
    {",a,,b,", "a|b"},
    {"a;x=\"1,2\",b", "a;x=\"1,2\"|b"},
    {"a;x=\"\\\",\",b", "a;x=\"\\\",\"|b"},
    {"a\\,b", "a\\|b"},
    {"\"a,b", "\"a,b"},
    {"\"a\\", "\"a\\"},
    {"\"\\", "\"\\"},
};

static void gives_members_that_are_not_empty(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(members_cases); i++) {
        char joined[100] = "";
        struct span rest = span_of(members_cases[i].header), member;
        while (field_member_next(&rest, &member))
            snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%s%.*s",
                     *joined ? "|" : "", SPAN_PRINTF(member));
        assert_string_equal(joined, members_cases[i].members);
    }
}

static void parts_stand_between_semicolons(void **state)
{
    (void)state;
    struct span rest = SPAN_LITERAL(" a ;; x=\"1;2\" ; y ");
    assert_true(span_is(field_part_next(&rest), "a"));
    assert_true(span_is(field_part_next(&rest), ""));
    assert_true(span_is(field_part_next(&rest), "x=\"1;2\""));
    assert_non_null(rest.data);
    assert_true(span_is(field_part_next(&rest), "y"));
    assert_null(rest.data);
}

static const struct quality_case {
    const char *parameters;
    int quality; /* -1: malformed */
} quality_cases[] = {
    {NULL, 1000},
    {"", 1000},
    {"charset=utf-8", 1000},
    {"q=1", 1000},
    {"q=0", 0},
    {"q=0.", 0},
    {"q=1.", 1000},
    {"q=1.000", 1000},
    {"q=0.5", 500},
    {"q=0.05", 50},
    {"q=0.005", 5},
    {"Q=0.5", 500},
    {" q=0.5 ", 500},
    {"a=b;q=0.25;c=d", 250},
    {"q=0.25;q=1", 250},
    {"x=\"q=0;q=0\";q=0.7", 700},
    {"quality=0", 1000},
    {"q=.2", 200},
    {"q=0.12345678901234567890", 123},
    {"q", 1000},
    {"q=", -1},
    {"q=.", -1},
    {"q=2", -1},
    {"q=1.001", -1},
    {"q=1.1", -1},
    {"q=00", -1},
    {"q=01", -1},
    {"q=10", -1},
    {"q=0,5", -1},
    {"q=0.5x", -1},
    {"q=0.-5", -1},
    {"q=-0", -1},
    {"q=+1", -1},
    {"q=1e0", -1},
    {"q= 1", -1},
    {"q=\"1\"", -1},
};

static void reads_weights_in_thousandths(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(quality_cases); i++) {
        unsigned quality = 9999;
        bool good = field_quality(span_of(quality_cases[i].parameters), &quality);
        if ((good ? (int)quality : -1) != quality_cases[i].quality)
            fail_msg("%s gave %u", quality_cases[i].parameters, quality);
        assert_true(good || quality == 9999);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_members_that_are_not_empty),
        cmocka_unit_test(parts_stand_between_semicolons),
        cmocka_unit_test(reads_weights_in_thousandths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
