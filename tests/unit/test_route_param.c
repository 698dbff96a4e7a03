#include "unit.h"

#include <stdio.h>

#include "route/param.h"

#define REPEAT_10(text) text text text text text text text text text text

struct reading {
    const char *type, *given;
    const char *text;    /* null: refused */
    const char *problem; /* when refused */
};

static void reading_check(const struct reading *row, struct arena *arena)
{
    struct param param = {
        .name = "x", .type = param_type_of_name(span_of(row->type)), .maxlen = -1};
    struct value value;
    const char *problem = NULL;
    bool read = param_read(&param, param.type, false, span_of(row->given), arena, &value, &problem);
    if (read != !!row->text)
        fail_msg("%s \"%s\": %s", row->type, row->given, read ? value.text.data : problem);
    if (read) {
        assert_string_equal(value.text.data, row->text);
        assert_int_equal(value.state, VALUE_TEXT);
    } else if (row->problem) {
        assert_string_equal(problem, row->problem);
    }
}

static void readings_check(const struct reading *rows, size_t count)
{
    struct arena *arena = arena_new();
    for (size_t i = 0; i < count; i++)
        reading_check(&rows[i], arena);
    arena_free(arena);
}

static void reads_whole_numbers(void **state)
{
    static const struct reading rows[] = {
        {"int", "7", "7", NULL},
        {"int", "007", "7", NULL},
        {"int", "+7", "7", NULL},
        {"int", "-0", "0", NULL},
        {"int", "-007", "-7", NULL},
        {"int", "2147483647", "2147483647", NULL},
        {"int", "-2147483648", "-2147483648", NULL},
        {"int", "2147483648", NULL,
         "must be a whole number from -2147483648 to 2147483647, not \"2147483648\""},
        {"int", "-2147483649", NULL, NULL},
        {"int2", "-32768", "-32768", NULL},
        {"int2", "32768", NULL, "must be a whole number from -32768 to 32767, not \"32768\""},
        {"bigint", "9223372036854775807", "9223372036854775807", NULL},
        {"bigint", "-9223372036854775808", "-9223372036854775808", NULL},
        {"bigint", "9223372036854775808", NULL, NULL},
        {"bigint", "-9223372036854775809", NULL, NULL},
        {"bigint", "99999999999999999999999999999999999", NULL, NULL},
        {"bigint", "00000000000000000000000000000000000000001", "1", NULL},
        {"int", "", NULL, "must be a whole number from -2147483648 to 2147483647, not \"\""},
        {"int", "abc", NULL, NULL},
        {"int", " 1", NULL, NULL},
        {"int", "1 ", NULL, NULL},
        {"int", "1.0", NULL, NULL},
        {"int", "1.", NULL, NULL},
        {"int", "1e2", NULL, NULL},
        {"int", "0x1F", NULL, NULL},
        {"int", "--1", NULL, NULL},
        {"int", "+-1", NULL, NULL},
        {"int", "-", NULL, NULL},
        {"int", "1_000", NULL, NULL},
        {"int", "\xd9\xa1", NULL, NULL},
    };
    (void)state;
    readings_check(rows, ARRAY_COUNT(rows));
}

static void reads_decimals(void **state)
{
    static const struct reading rows[] = {
        {"numeric", "1.50", "1.50", NULL},
        {"numeric", "+01.50", "1.50", NULL},
        {"numeric", ".5", "0.5", NULL},
        {"numeric", "5.", "5", NULL},
        {"numeric", "-0", "0", NULL},
        {"numeric", "-0.00", "0.00", NULL},
        {"numeric", "-00.10", "-0.10", NULL},
        {"numeric", "1e3", "1000", NULL},
        {"numeric", "1.50E1", "15.0", NULL},
        {"numeric", "1.5e-3", "0.0015", NULL},
        {"numeric", "-12345e-2", "-123.45", NULL},
        {"numeric", "0e99999", NULL, NULL},
        {"numeric", "0.0012e3", "1.2", NULL},
        {"numeric", "123456789012345678901234567890.123", "123456789012345678901234567890.123",
         NULL},
        {"numeric", "1e1000", NULL,
         "must be a number, not \"1e1000\" (it would have more than 1000 digits)"},
        {"numeric", "1e-99999999999999999999", NULL, NULL},
        {"numeric", ".", NULL, "must be a number, not \".\""},
        {"numeric", "1e", NULL, NULL},
        {"numeric", "1,5", NULL, NULL},
        {"numeric", "NaN", NULL, NULL},
        {"numeric", "", NULL, NULL},
        {"double precision", "1.0", "1", NULL},
        {"double precision", "0.1", "0.1", NULL},
        {"double precision", "1e400", NULL,
         "must be a number, not \"1e400\" (out of the type's range)"},
        {"double precision", "1e-400", NULL, NULL},
        {"double precision", "0e-400", "0", NULL},
        {"double precision", "-0", "-0", NULL},
        {"double precision", "1e22", "1e+22", NULL},
        {"double precision", "0.30000000000000004", "0.30000000000000004", NULL},
        {"double precision", "nan", "NaN", NULL},
        {"double precision", "-infinity", "-Infinity", NULL},
        {"double precision", "inf", NULL, NULL},
        {"double precision", "0x10", NULL, NULL},
        {"real", "0.1", "0.1", NULL},
        {"real", "16777217", "16777216", NULL},
        {"real", "1e39", NULL, NULL},
    };
    (void)state;
    readings_check(rows, ARRAY_COUNT(rows));
}

static void reads_words(void **state)
{
    static const struct reading rows[] = {
        {"bool", "TRUE", "true", NULL},
        {"bool", "t", "true", NULL},
        {"bool", "on", "true", NULL},
        {"bool", "Yes", "true", NULL},
        {"bool", "1", "true", NULL},
        {"bool", "0", "false", NULL},
        {"bool", "off", "false", NULL},
        {"bool", "2", NULL, "must be true or false, not \"2\""},
        {"bool", "", NULL, NULL},
        {"uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
         NULL},
        {"uuid", "a0eebc999c0b4ef8bb6d6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", NULL},
        {"uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1", NULL, NULL},
        {"uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g", NULL, NULL},
        {"uuid", "a0eebc999-c0b-4ef8-bb6d-6bb9bd380a11", NULL, NULL},
        {"uuid", "{0eebc999c0b4ef8bb6d6bb9bd380a11", NULL,
         "must be a UUID (32 hexadecimal digits), not \"{0eebc999c0b4ef8bb6d6bb9bd380a11\""},
        {"text", "", "", NULL},
        {"text", "caf\xc3\xa9 \x01", "caf\xc3\xa9 \x01", NULL},
        {"text", "\xff", NULL, "must be a text in UTF-8, not \"\xef\xbf\xbd\" (not UTF-8)"},
        {"text", "\xed\xa0\x80", NULL, NULL},
        {"citext", "Any", "Any", NULL},
        {"citext", "", "", NULL},
        {"json", " {\"a\": 1} ", "{\"a\": 1}", NULL},
        {"jsonb", "[1,2", NULL, "must be JSON, not \"[1,2\" (',' or ']' was expected at byte 5)"},
        {"json", "", NULL, "must be JSON, not \"\""},
    };
    (void)state;
    readings_check(rows, ARRAY_COUNT(rows));
}

static void reads_times(void **state)
{
    static const struct reading rows[] = {
        {"date", "2024-02-29", "2024-02-29", NULL},
        {"date", "2000-02-29", "2000-02-29", NULL},
        {"date", "2023-02-29", NULL, "must be a date (YYYY-MM-DD), not \"2023-02-29\""},
        {"date", "1900-02-29", NULL, NULL},
        {"date", "2024-04-31", NULL, NULL},
        {"date", "2024-13-01", NULL, NULL},
        {"date", "2024-00-01", NULL, NULL},
        {"date", "2024-01-00", NULL, NULL},
        {"date", "0000-01-01", NULL, NULL},
        {"date", "0001-01-01", "0001-01-01", NULL},
        {"date", "24-01-01", NULL, NULL},
        {"date", "2024-1-1", NULL, NULL},
        {"date", "2024-01-01T00:00", NULL, NULL},
        {"date", "today", NULL, NULL},
        {"timestamp", "2024-01-02T03:04:05", "2024-01-02T03:04:05", NULL},
        {"timestamp", "2024-01-02 03:04", "2024-01-02T03:04:00", NULL},
        {"timestamp", "2024-01-02t03:04:05.120000", "2024-01-02T03:04:05.12", NULL},
        {"timestamp", "2024-01-02T03:04:05.000", "2024-01-02T03:04:05", NULL},
        {"timestamp", "2024-01-02T03:04:05.1234567", NULL, NULL},
        {"timestamp", "2024-01-02T03:04:05.", NULL, NULL},
        {"timestamp", "2024-01-02T24:00:00", NULL, NULL},
        {"timestamp", "2024-01-02T23:60:00", NULL, NULL},
        {"timestamp", "2024-01-02T23:59:60", NULL, NULL},
        {"timestamp", "2024-01-02", NULL, NULL},
        {"timestamp", "2024-01-02T03:04:05Z", NULL,
         "must be a date and time without time zone (YYYY-MM-DDThh:mm:ss), not "
         "\"2024-01-02T03:04:05Z\" (a time zone is not allowed)"},
        {"timestamptz", "2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z", NULL},
        {"timestamptz", "2024-01-01T00:30:00+02:00", "2023-12-31T22:30:00Z", NULL},
        {"timestamptz", "2024-02-28T23:30:00-0130", "2024-02-29T01:00:00Z", NULL},
        {"timestamptz", "2023-12-31T23:30-01", "2024-01-01T00:30:00Z", NULL},
        {"timestamptz", "2024-01-02T03:04:05.5z", "2024-01-02T03:04:05.5Z", NULL},
        {"timestamptz", "0001-01-01T00:00:00+01:00", NULL, NULL},
        {"timestamptz", "9999-12-31T23:59:59-01:00", NULL, NULL},
        {"timestamptz", "2024-01-02T03:04:05+16:00", NULL, NULL},
        {"timestamptz", "2024-01-02T03:04:05+02:", NULL, NULL},
        {"timestamptz", "2024-01-02T03:04:05", NULL,
         "must be a date and time with time zone (YYYY-MM-DDThh:mm:ssZ or …+hh:mm), not "
         "\"2024-01-02T03:04:05\" (the time zone is missing)"},
        {"timestamptz", "2024-01-02T03:04:05 02:00", NULL,
         "must be a date and time with time zone (YYYY-MM-DDThh:mm:ssZ or …+hh:mm), not "
         "\"2024-01-02T03:04:05 02:00\" (a '+' in a query is read as a space: write it as %2B)"},
        {"timestamptz", "now", NULL, NULL},
    };
    (void)state;
    readings_check(rows, ARRAY_COUNT(rows));
}

/* A NUL can't stand in a C text, so it has a test of its own. */
static void refuses_nul(void **state)
{
    struct arena *arena = arena_new();
    struct param param = {.name = "x", .maxlen = -1};
    struct value value;
    const char *problem;
    (void)state;
    for (enum param_type type = TYPE_UNKNOWN; type < TYPE_COUNT; type++)
        assert_false(param_read(&param, type, false, SPAN_LITERAL("1\0"), arena, &value, &problem));
    arena_free(arena);
}

static void cuts_what_it_quotes(void **state)
{
    struct arena *arena = arena_new();
    struct param param = {.name = "x", .maxlen = -1};
    struct value value;
    const char *problem;
    (void)state;
    assert_false(param_read(&param, TYPE_BOOLEAN, false,
                            SPAN_LITERAL(REPEAT_10("\n\xc3\xa9\xff\"") "tail"), arena, &value,
                            &problem));
    assert_string_equal(problem, "must be true or false, not \"" REPEAT_10(
                                     "\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\"") "…\"");
    arena_free(arena);
}

struct constraint {
    struct param param;
    const char *given, *text, *problem;
};

#define LIMITED .name = "x", .maxlen = -1

static void keeps_constraints(void **state)
{
    struct span sizes[] = {SPAN_LITERAL("small"), SPAN_LITERAL("large")};
    const struct constraint rows[] = {
        {{LIMITED, .type = TYPE_INTEGER, .min = SPAN_LITERAL("1"), .max = SPAN_LITERAL("0100")},
         "100",
         "100",
         NULL},
        {{LIMITED, .type = TYPE_INTEGER, .min = SPAN_LITERAL("1"), .max = SPAN_LITERAL("100")},
         "abc",
         NULL,
         "must be a whole number from 1 to 100, not \"abc\""},
        {{LIMITED, .type = TYPE_INTEGER, .min = SPAN_LITERAL("1"), .max = SPAN_LITERAL("100")},
         "0",
         NULL,
         "must be a whole number from 1 to 100, not \"0\""},
        {{LIMITED, .type = TYPE_INTEGER, .min = SPAN_LITERAL("-5")},
         "-6",
         NULL,
         "must be a whole number from -5 to 2147483647, not \"-6\""},
        {{LIMITED, .type = TYPE_NUMERIC, .min = SPAN_LITERAL("1.5")},
         "1.49",
         NULL,
         "must be a number, at least 1.5, not \"1.49\""},
        {{LIMITED, .type = TYPE_NUMERIC, .min = SPAN_LITERAL("1.5")}, "1.500", "1.500", NULL},
        {{LIMITED, .type = TYPE_NUMERIC, .max = SPAN_LITERAL("-10.1")},
         "-9",
         NULL,
         "must be a number, at most -10.1, not \"-9\""},
        {{LIMITED, .type = TYPE_DOUBLE, .max = SPAN_LITERAL("1")},
         "NaN",
         NULL,
         "must be a number, at most 1, not \"NaN\""},
        {{LIMITED, .type = TYPE_DOUBLE, .min = SPAN_LITERAL("0")}, "Infinity", "Infinity", NULL},
        {{LIMITED, .type = TYPE_DATE, .min = SPAN_LITERAL("2024-01-01")},
         "2023-12-31",
         NULL,
         "must be a date (YYYY-MM-DD), at least 2024-01-01, not \"2023-12-31\""},
        {{LIMITED, .type = TYPE_TIMESTAMPTZ, .max = SPAN_LITERAL("2024-01-01T00:00:00Z")},
         "2024-01-01T00:00:00.1Z",
         NULL,
         NULL},
        {{LIMITED, .type = TYPE_TIMESTAMPTZ, .max = SPAN_LITERAL("2024-01-01T00:00:00Z")},
         "2024-01-01T01:00:00+01:00",
         "2024-01-01T00:00:00Z",
         NULL},
        {{LIMITED, .type = TYPE_TEXT, .choices = sizes, .choice_count = 2}, "large", "large", NULL},
        {{LIMITED, .type = TYPE_TEXT, .choices = sizes, .choice_count = 2},
         "huge",
         NULL,
         "must be one of small, large, not \"huge\""},
        {{.name = "x", .type = TYPE_TEXT, .maxlen = 4}, "caf\xc3\xa9", "caf\xc3\xa9", NULL},
        {{.name = "x", .type = TYPE_TEXT, .maxlen = 4},
         "caf\xc3\xa9s",
         NULL,
         "must be at most 4 characters long, not 5"},
        {{LIMITED, .type = TYPE_TEXT, .pattern = SPAN_LITERAL("[a-z]+|[0-9]{2}")},
         "abc",
         "abc",
         NULL},
        {{LIMITED, .type = TYPE_TEXT, .pattern = SPAN_LITERAL("[a-z]+|[0-9]{2}")},
         "abc1",
         NULL,
         "must match the pattern [a-z]+|[0-9]{2}, not \"abc1\""},
        {{LIMITED, .type = TYPE_TEXT, .pattern = SPAN_LITERAL("[a-z]+|[0-9]{2}")},
         "123",
         NULL,
         NULL},
        {{LIMITED, .type = TYPE_TEXT, .pattern = SPAN_LITERAL("a.*")}, "a\nb", "a\nb", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct arena *arena = arena_new();
        struct param param = rows[i].param;
        struct value value;
        const char *problem = "";
        assert_true(param_settle(&param, arena, &problem));
        bool read =
            param_read(&param, param.type, false, span_of(rows[i].given), arena, &value, &problem);
        assert_int_equal(read, rows[i].text != NULL);
        if (rows[i].text)
            assert_string_equal(value.text.data, rows[i].text);
        if (rows[i].problem)
            assert_string_equal(problem, rows[i].problem);
        param_release(&param);
        arena_free(arena);
    }
}

static void takes_types_learned_later(void **state)
{
    struct arena *arena = arena_new();
    struct span choices[] = {SPAN_LITERAL("01"), SPAN_LITERAL("2")};
    struct param param = {.name = "x",
                          .maxlen = -1,
                          .choices = choices,
                          .choice_count = 2,
                          .default_text = SPAN_LITERAL("002")};
    struct value value;
    const char *problem;
    (void)state;
    assert_true(param_settle(&param, arena, &problem) == false);
    assert_string_equal(problem, "default= must be one of 01, 2, not \"002\"");
    param.type = TYPE_INTEGER;
    assert_true(param_settle(&param, arena, &problem));
    assert_true(span_is(param.default_text, "2"));
    assert_true(param_read(&param, TYPE_INTEGER, false, span_of("1"), arena, &value, &problem));
    param.maxlen = 5;
    assert_false(param_settle(&param, arena, &problem));
    assert_string_equal(problem, "maxlen= fits text, not integer");
    arena_free(arena);
}

static void knows_types(void **state)
{
    bool array;
    (void)state;
    assert_int_equal(param_type_of_name(span_of("INT8")), TYPE_BIGINT);
    assert_int_equal(param_type_of_name(span_of("float")), TYPE_DOUBLE);
    assert_int_equal(param_type_of_name(span_of("timestamp with time zone")), TYPE_TIMESTAMPTZ);
    assert_int_equal(param_type_of_name(span_of("my.enum")), TYPE_OTHER);
    assert_int_equal(param_type_of_name(span_of("unknown")), TYPE_OTHER);
    assert_int_equal(param_type_of_oid(23, &array), TYPE_INTEGER);
    assert_false(array);
    assert_int_equal(param_type_of_oid(1007, &array), TYPE_INTEGER);
    assert_true(array);
    assert_int_equal(param_type_of_oid(1043, &array), TYPE_TEXT);
    assert_int_equal(param_type_of_oid(1015, &array), TYPE_TEXT);
    assert_true(array);
    assert_int_equal(param_type_of_oid(0, &array), TYPE_OTHER);
    assert_int_equal(param_type_of_oid(600, &array), TYPE_OTHER);
    assert_false(array);
    for (enum param_type type = TYPE_UNKNOWN; type < TYPE_COUNT; type++) {
        assert_int_equal(param_types[type].type, type);
        assert_non_null(param_types[type].name);
        assert_non_null(param_types[type].allowed);
    }
}

UNIT_MAIN(cmocka_unit_test(reads_whole_numbers), cmocka_unit_test(reads_decimals),
          cmocka_unit_test(reads_words), cmocka_unit_test(reads_times),
          cmocka_unit_test(refuses_nul), cmocka_unit_test(cuts_what_it_quotes),
          cmocka_unit_test(keeps_constraints), cmocka_unit_test(takes_types_learned_later),
          cmocka_unit_test(knows_types))
