#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/problem.h"

static void assert_written(const struct problem *problem, const char *expected)
{
    struct bytes out = BYTES_EMPTY;
    problem_write(problem, &out);
    assert_string_equal(bytes_text(&out), expected);
    assert_int_equal(out.size, strlen(expected));
    bytes_free(&out);
}

static void writes_the_least(void **state)
{
    (void)state;
    assert_written(&(struct problem){.status = 404},
                   "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404}");
}

static void writes_everything(void **state)
{
    (void)state;
    const struct problem_item items[] = {
        {.name = "limit", .in = "query", .detail = "must be at most 100, not 500"},
        {.name = "id", .detail = "must be a whole number"},
    };
    const struct problem problem = {
        .status = 422,
        .type = "https://example.net/parameters",
        .title = "Wrong parameters",
        .detail = "2 parameters are wrong",
        .instance = SPAN_LITERAL("/feeds"),
        .items = items,
        .item_count = 2,
    };
    assert_written(&problem,
                   "{\"type\":\"https://example.net/parameters\",\"title\":\"Wrong parameters\","
                   "\"status\":422,\"detail\":\"2 parameters are wrong\",\"instance\":\"/feeds\","
                   "\"errors\":[{\"name\":\"limit\",\"in\":\"query\","
                   "\"detail\":\"must be at most 100, not 500\"},"
                   "{\"name\":\"id\",\"detail\":\"must be a whole number\"}]}");
}

static void escapes_and_mends_texts(void **state)
{
    (void)state;
    const struct problem problem = {
        .status = 400,
        .detail = "\"\\\r\n\x01\xff<\xc3\xa9>",
        .instance = {.data = "/\0\x80", .size = 3},
    };
    assert_written(&problem, "{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,"
                             "\"detail\":\"\\\"\\\\\\r\\n\\u0001\xef\xbf\xbd<\xc3\xa9>\","
                             "\"instance\":\"/\\u0000\xef\xbf\xbd\"}");
}

static void an_empty_text_is_not_an_absent_one(void **state)
{
    (void)state;
    const struct problem problem = {.status = 299, .detail = "", .instance = SPAN_LITERAL("")};
    assert_written(&problem, "{\"type\":\"about:blank\",\"title\":\"Unknown\",\"status\":299,"
                             "\"detail\":\"\",\"instance\":\"\"}");
}

static void appends(void **state)
{
    (void)state;
    struct bytes out = BYTES_EMPTY;
    bytes_append_text(&out, "before");
    problem_write(&(struct problem){.status = 500}, &out);
    assert_true(span_starts(bytes_span(&out), "before{\"type\""));
    bytes_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_least),
        cmocka_unit_test(writes_everything),
        cmocka_unit_test(escapes_and_mends_texts),
        cmocka_unit_test(an_empty_text_is_not_an_absent_one),
        cmocka_unit_test(appends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
