#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "http/status.h"

static const struct status_case {
    unsigned status;
    const char *reason;
} cases[] = {
    {200, "OK"},
    {202, "Accepted"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {409, "Conflict"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {422, "Unprocessable Content"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {511, "Network Authentication Required"},
    {0, "Unknown"},
    {99, "Unknown"},
    {299, "Unknown"},
    {399, "Unknown"},
    {402, "Payment Required"},
    {418, "Client Error"},
    {451, "Unavailable For Legal Reasons"},
    {499, "Client Error"},
    {512, "Server Error"},
    {599, "Server Error"},
    {600, "Unknown"},
    {999, "Unknown"},
    {4294967295u, "Unknown"},
};

static void gives_each_phrase(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_string_equal(status_reason(cases[i].status), cases[i].reason);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_each_phrase),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
