#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "http/media.h"

static const struct accept_case {
    const char *header;
    bool json;
} accepts[] = {
    {NULL, true},
    {"", true},
    {"  ", true},
    {"*/*", true},
    {"application/json", true},
    {"APPLICATION/JSON", true},
    {"application/*", true},
    {"text/html", false},
    {"text/*", false},
    {"application/jsonp", false},
    {"application/jso", false},
    {"application/problem+json", false},
    {"text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", true},
    {"text/html,application/json", true},
    {"application/json;q=0", false},
    {"application/json;q=0.000", false},
    {"application/json;q=0.001", true},
    {"*/*;q=0", false},
    /* the most specific range decides, wherever it stands */
    {"application/json;q=0, */*;q=1", false},
    {"*/*;q=1, application/json;q=0", false},
    {"application/*;q=0, */*", false},
    {"application/*;q=0, application/json", true},
    {"application/json, application/*;q=0, */*;q=0", true},
    {"text/*;q=0, */*", true},
    /* parameters but q make no difference; of equal ranges the highest weight counts */
    {"application/json;charset=utf-8", true},
    {"application/json; charset=\"utf-8,;\"; q=0", false},
    {"application/json;charset=latin1;q=0, application/json;q=0.1", true},
    {"application/json;q=0.1, application/json;q=0", true},
    {"application/json;q=0;v=1", false},
    /* what old Java clients send */
    {"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", true},
    {"text/html, *; q=.2", true},
    /* malformed ranges are passed over; where nothing is left all is acceptable */
    {"application/json;q=2, text/html", false},
    {"application/json;q=, text/html", false},
    {"*/json, text/html", false},
    {"application/, text/html", false},
    {"/json, text/html", false},
    {"application, text/html", false},
    {"application/json/x, text/html", false},
    {"application / json, text/html", false},
    {"nonsense", true},
    {"nonsense;q=0", true},
    {",,,", true},
    {"\"", true},
    {"a/b;x=\"unclosed, application/json", false},
    {",application/json,", true},
};

static void accepts_json_where_the_header_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(accepts); i++)
        if (media_acceptable(span_of(accepts[i].header), "application/json") != accepts[i].json)
            fail_msg("Accept: %s", accepts[i].header);
}

/* RFC 9110, section 12.5.1: the weights of its last example, in order. */
static void orders_types_as_the_rfc_does(void **state)
{
    (void)state;
    struct span header = SPAN_LITERAL("text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, "
                                      "text/plain;format=fixed;q=0.4, */*;q=0.5");
    const char *const types[] = {"text/html", "image/jpeg", "text/plain"};
    size_t index = 99;
    assert_true(media_choose(header, types, 1, &index));
    assert_int_equal(index, 0);
    assert_true(media_choose(header, types, 2, &index));
    assert_int_equal(index, 1);
    assert_true(media_choose(header, types, 3, &index));
    assert_int_equal(index, 2);
}

static const struct choose_case {
    const char *header;
    int index; /* -1: none */
} choose_cases[] = {
    {NULL, 0},
    {"*/*", 0},
    {"text/csv", 1},
    {"text/csv;q=0.5, application/json;q=0.4", 1},
    {"text/csv;q=0.5, application/json;q=0.5", 0},
    {"application/json;q=0, */*;q=0.1", 1},
    {"image/png", -1},
    {"*/*;q=0", -1},
};

static void chooses_among_several(void **state)
{
    (void)state;
    const char *const types[] = {"application/json", "text/csv"};
    for (size_t i = 0; i < ARRAY_COUNT(choose_cases); i++) {
        size_t index = 99;
        bool found = media_choose(span_of(choose_cases[i].header), types, 2, &index);
        assert_int_equal(found ? (int)index : -1, choose_cases[i].index);
        assert_true(found || index == 99);
    }
}

static const struct {
    const char *header, *type, *charset; /* type null: malformed */
} type_cases[] = {
    {"application/json", "application/json", ""},
    {"Application/JSON ; charset=utf-8", "Application/JSON", "utf-8"},
    {"text/plain;format=flowed; Charset=\"UTF-8\";x=1", "text/plain", "UTF-8"},
    {"a/b;charset=", "a/b", ""},
    {"a/b;charset", "a/b", ""},
    {"a/b;xcharset=x;", "a/b", ""},
    {"", NULL, NULL},
    {"json", NULL, NULL},
    {"application/", NULL, NULL},
    {"*/*", NULL, NULL},
    {"application/*", NULL, NULL},
    {"a/b c", NULL, NULL},
    {"a/b/c", NULL, NULL},
};

static void reads_a_content_type(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(type_cases); i++) {
        struct span type = {0}, charset = {0};
        bool read = media_type_read(span_of(type_cases[i].header), &type, &charset);
        assert_int_equal(read, type_cases[i].type != NULL);
        assert_true(!read || span_is(type, type_cases[i].type));
        assert_true(!read || span_is(charset, type_cases[i].charset));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_json_where_the_header_does),
        cmocka_unit_test(orders_types_as_the_rfc_does),
        cmocka_unit_test(chooses_among_several),
        cmocka_unit_test(reads_a_content_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
