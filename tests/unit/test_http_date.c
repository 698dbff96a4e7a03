#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#include "http/date.h"

#define LAST INT64_C(253402300799) /* 9999-12-31 23:59:59 */

static const struct date_case {
    const char *text;
    int64_t seconds;
} dates[] = {
    /* RFC 9110, section 5.6.7: one moment, three forms */
    {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
    {"Sun Nov  6 08:49:37 1994", 784111777},
    {"Sat Nov 26 08:49:37 1994", 785839777},
    {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
    {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
    {"Tue, 29 Feb 2000 12:00:00 GMT", 951825600},
    {"Thu, 29 Feb 2024 00:00:00 GMT", 1709164800},
    {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800},
    {"Tue, 19 Jan 2038 03:14:08 GMT", 2147483648},
    {"Fri, 31 Dec 9999 23:59:59 GMT", LAST},
    {"Thursday, 01-Jan-70 00:00:00 GMT", 0},
    {"Tuesday, 31-Dec-69 23:59:59 GMT", 3155759999},
    {"Mon, 06 Nov 1994 08:49:37 GMT", 784111777}, /* was a Sunday */
};

static const char *const no_dates[] = {
    "",
    " ",
    "0",
    "784111777",
    "Sun",
    "Sun, 06 Nov 1994 08:49:37",
    "Sun, 06 Nov 1994 08:49:37 ",
    "Sun, 06 Nov 1994 08:49:37 GM",
    "Sun, 06 Nov 1994 08:49:37 GMT ",
    " Sun, 06 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 06 Nov 1994 08:49:37 +0000",
    "Sun, 06 Nov 1994 08:49:37 gmt",
    "sun, 06 Nov 1994 08:49:37 GMT",
    "Sun, 06 nov 1994 08:49:37 GMT",
    "Sunday, 06 Nov 1994 08:49:37 GMT",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "Sun, 00 Nov 1994 08:49:37 GMT",
    "Sun, 31 Nov 1994 08:49:37 GMT",
    "Sun, 29 Feb 2023 08:49:37 GMT",
    "Sun, 29 Feb 1900 08:49:37 GMT",
    "Sun, 06 Now 1994 08:49:37 GMT",
    "Sun, 06 Nov 94 08:49:37 GMT",
    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 06 Nov 1994 08:60:00 GMT",
    "Sun, 06 Nov 1994 08:49:61 GMT",
    "Sun, 06 Nov 1994 8:49:37 GMT",
    "Sun, 06 Nov 1994 08:49 GMT",
    "Sun, -6 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov +994 08:49:37 GMT",
    "Sun, 06-Nov-94 08:49:37 GMT",
    "Sunday, 06-Nov-1994 08:49:37 GMT",
    "Sunday, 32-Jan-94 08:49:37 GMT",
    "Sun Nov 6 08:49:37 1994",
    "Sun Nov 06 08:49:37 94",
    "Sun Nov  0 08:49:37 1994",
    "Sun Nov  6 08:49:37 1994 GMT",
    "1994-11-06T08:49:37Z",
};

static void reads_the_three_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(dates); i++) {
        int64_t seconds = 12345;
        assert_true(http_date_parse(span_of(dates[i].text), &seconds));
        assert_int_equal(seconds, dates[i].seconds);
    }
}

static void refuses_everything_else(void **state)
{
    (void)state;
    int64_t seconds = 12345;
    for (size_t i = 0; i < ARRAY_COUNT(no_dates); i++)
        if (http_date_parse(span_of(no_dates[i]), &seconds))
            fail_msg("\"%s\" was taken for a date", no_dates[i]);
    assert_false(http_date_parse((struct span){0}, &seconds));
    assert_int_equal(seconds, 12345);
}

/* Every start of a good date is none; each is in memory of just its size. */
static void refuses_cut_dates(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(dates); i++)
        for (size_t size = 1; size < strlen(dates[i].text); size++) {
            int64_t seconds;
            char *cut = malloc(size);
            assert_non_null(cut);
            memcpy(cut, dates[i].text, size);
            assert_false(http_date_parse((struct span){cut, size}, &seconds));
            free(cut);
        }
}

static void assert_same_as_libc(int64_t seconds)
{
    char expected[HTTP_DATE_SIZE], written[HTTP_DATE_SIZE];
    struct tm parts;
    int64_t read;
    time_t time = (time_t)seconds;
    assert_non_null(gmtime_r(&time, &parts));
    assert_int_equal(strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", &parts),
                     HTTP_DATE_SIZE - 1);
    http_date_format(seconds, written);
    assert_string_equal(written, expected);
    assert_true(http_date_parse(span_of(written), &read));
    assert_int_equal(read, seconds);
}

static void agrees_with_libc_on_every_day(void **state)
{
    (void)state;
    for (int64_t day = 0; day <= LAST / 86400; day += day < 200 * 366 ? 1 : 29)
        assert_same_as_libc(day * 86400 + day * 7919 % 86400);
    assert_same_as_libc(LAST);
}

static void brings_other_years_to_the_nearer_end(void **state)
{
    (void)state;
    char buffer[HTTP_DATE_SIZE];
    http_date_format(-1, buffer);
    assert_string_equal(buffer, "Thu, 01 Jan 1970 00:00:00 GMT");
    http_date_format(INT64_MIN, buffer);
    assert_string_equal(buffer, "Thu, 01 Jan 1970 00:00:00 GMT");
    http_date_format(INT64_MAX, buffer);
    assert_string_equal(buffer, "Fri, 31 Dec 9999 23:59:59 GMT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_three_forms),
        cmocka_unit_test(refuses_everything_else),
        cmocka_unit_test(refuses_cut_dates),
        cmocka_unit_test(agrees_with_libc_on_every_day),
        cmocka_unit_test(brings_other_years_to_the_nearer_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
