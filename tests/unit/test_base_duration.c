#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/duration.h"

static const struct parse_case {
    const char *text;
    int64_t value; /* -1: refused */
} durations[] = {
    {"250ms", 250000},
    {"5s", 5000000},
    {"10m", 600000000},
    {"1h", 3600000000},
    {"7d", 604800000000},
    {"9us", 9},
    {"0", 0},
    {"0s", 0},
    {"007s", 7000000},
    {"106751991d", 9223372022400000000},
    {"106751992d", -1},
    {"9223372036854775807us", INT64_MAX},
    {"9223372036854775808us", -1},
    {"99999999999999999999s", -1},
    {"", -1},
    {"5", -1},
    {"s", -1},
    {"-5s", -1},
    {"+5s", -1},
    {" 5s", -1},
    {"5s ", -1},
    {"5 s", -1},
    {"1.5s", -1},
    {"5S", -1},
    {"5sec", -1},
    {"1h30m", -1},
    {"5KB", -1},
    {"0x5s", -1},
};

static const struct parse_case sizes[] = {
    {"512B", 512},
    {"64KB", 65536},
    {"1MB", 1048576},
    {"2GB", 2147483648},
    {"0", 0},
    {"8589934591GB", 9223372035781033984},
    {"8589934592GB", -1},
    {"1024", -1},
    {"1kb", -1},
    {"1K", -1},
    {"1.5MB", -1},
    {"5s", -1},
    {"", -1},
};

typedef bool parser(struct span, int64_t *, struct error *);

static void assert_parsed(parser *parse, const struct parse_case *row)
{
    struct error error = {0};
    int64_t value = 12345;
    bool good = parse(span_of(row->text), &value, &error);
    assert_int_equal(good, row->value >= 0);
    assert_int_equal(value, good ? row->value : 12345);
    assert_int_equal(error.kind, good ? ERROR_NONE : ERROR_INVALID);
}

static void reads_durations(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(durations); i++)
        assert_parsed(duration_parse, &durations[i]);
}

static void reads_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        assert_parsed(size_parse, &sizes[i]);
}

static void names_the_value_and_the_units(void **state)
{
    (void)state;
    struct error error;
    int64_t value;
    assert_false(duration_parse(SPAN_LITERAL("5 min"), &value, &error));
    assert_non_null(strstr(error.text, "\"5 min\""));
    assert_non_null(strstr(error.text, "us, ms, s, m, h or d"));
    assert_false(size_parse(SPAN_LITERAL("5s"), &value, &error));
    assert_non_null(strstr(error.text, "B, KB, MB or GB"));
    assert_false(duration_parse((struct span){0}, &value, &error));
    assert_int_equal(error.kind, ERROR_INVALID);
}

static const struct format_case {
    int64_t value;
    const char *duration, *size;
} formats[] = {
    {0, "0", "0"},
    {1, "1us", "1B"},
    {1024, "1024us", "1KB"},
    {1500, "1500us", "1500B"},
    {90 * SECOND, "90s", NULL},
    {120 * SECOND, "2m", NULL},
    {86400 * SECOND, "1d", NULL},
    {-90 * SECOND, "-90s", NULL},
    {1048576, NULL, "1MB"},
    {INT64_C(3) << 30, NULL, "3GB"},
    {INT64_MAX, "9223372036854775807us", "9223372036854775807B"},
};

static void writes_the_largest_unit_that_divides(void **state)
{
    (void)state;
    char buffer[32];
    for (size_t i = 0; i < ARRAY_COUNT(formats); i++) {
        if (formats[i].duration)
            assert_string_equal(duration_format(formats[i].value, buffer), formats[i].duration);
        if (formats[i].size)
            assert_string_equal(size_format(formats[i].value, buffer), formats[i].size);
    }
}

static void reads_what_it_wrote(void **state)
{
    (void)state;
    for (int64_t value = 0; value < INT64_MAX / 3; value = value * 3 + 1) {
        char buffer[32];
        int64_t read;
        struct error error;
        assert_true(duration_parse(span_of(duration_format(value, buffer)), &read, &error));
        assert_int_equal(read, value);
        assert_true(size_parse(span_of(size_format(value, buffer)), &read, &error));
        assert_int_equal(read, value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_durations),
        cmocka_unit_test(reads_sizes),
        cmocka_unit_test(names_the_value_and_the_units),
        cmocka_unit_test(writes_the_largest_unit_that_divides),
        cmocka_unit_test(reads_what_it_wrote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
