#include "unit.h"

#include <string.h>

#include "base/options.h"

static const char *variables[8][2];

static const char *look(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(variables) && variables[i][0]; i++)
        if (strcmp(variables[i][0], name) == 0)
            return variables[i][1];
    return NULL;
}

static void set(const char *name, const char *value)
{
    memset(variables, 0, sizeof variables);
    variables[0][0] = name;
    variables[0][1] = value;
}

static void every_default_is_allowed(void **state)
{
    struct options options;
    struct bytes faults = BYTES_EMPTY;
    (void)state;
    set("NOTHING", "");
    assert_true(options_load(look, &options, &faults));
    assert_int_equal(faults.size, 0);
    assert_int_equal(options_number(&options, OPTION_THREADS), 32);
    assert_int_equal(options_number(&options, OPTION_REDIS_TIMEOUT), 100000);
    assert_int_equal(options_number(&options, OPTION_ENTRY_MAX), 1048576);
    assert_string_equal(options_text(&options, OPTION_ROUTES), "/etc/larder/routes");
    assert_false(options.values[OPTION_THREADS].given);
}

static void values_are_read(void **state)
{
    struct options options;
    struct bytes faults = BYTES_EMPTY;
    (void)state;
    set("LARDER_THREADS", "4");
    assert_true(options_load(look, &options, &faults));
    assert_int_equal(options_number(&options, OPTION_THREADS), 4);
    assert_true(options.values[OPTION_THREADS].given);
    set("LARDER_LOG_FORMAT", "json");
    assert_true(options_load(look, &options, &faults));
    assert_int_equal(options_number(&options, OPTION_LOG_FORMAT), 1);
}

static const struct bad_row {
    const char *name, *value, *allowed;
} bad_rows[] = {
    {"LARDER_THREADS", "0", "a whole number from 1 to 1024"},
    {"LARDER_THREADS", "1025", "a whole number from 1 to 1024"},
    {"LARDER_THREADS", "many", "a whole number from 1 to 1024"},
    {"LARDER_THREADS", "99999999999999999999", "a whole number from 1 to 1024"},
    {"LARDER_TIMEOUT", "10", "a duration with a unit"},
    {"LARDER_TIMEOUT", "2h", "a duration with a unit"},
    {"LARDER_ENTRY_MAX", "1", "a size with a unit"},
    {"LARDER_LOG_FORMAT", "xml", "text or json"},
    {"LARDER_LOG_LEVEL", "loud", "error, warning, info or debug"},
    {"LARDER_PREFIX", "a b", "letters, digits"},
    {"LARDER_REDIS", "localhost", "redis://"},
};

static void a_bad_value_is_named_with_what_is_allowed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad_rows); i++) {
        struct options options;
        struct bytes faults = BYTES_EMPTY;
        set(bad_rows[i].name, bad_rows[i].value);
        assert_false(options_load(look, &options, &faults));
        assert_non_null(strstr(bytes_text(&faults), bad_rows[i].name));
        assert_non_null(strstr(bytes_text(&faults), bad_rows[i].value));
        assert_non_null(strstr(bytes_text(&faults), bad_rows[i].allowed));
        bytes_free(&faults);
    }
}

static void all_faults_are_told_at_once(void **state)
{
    struct options options;
    struct bytes faults = BYTES_EMPTY;
    (void)state;
    set("LARDER_THREADS", "x");
    variables[1][0] = "LARDER_DB_POOL";
    variables[1][1] = "y";
    assert_false(options_load(look, &options, &faults));
    assert_non_null(strstr(bytes_text(&faults), "LARDER_THREADS"));
    assert_non_null(strstr(bytes_text(&faults), "LARDER_DB_POOL"));
    bytes_free(&faults);
}

static const char *const secret_urls[] = {
    "redis://ann:hunter2@h:6379/0", "redis://:hunter2@h", "redis://a:hunter2@x@h",
    "redis://:hun/hunter2@h",       "reds:/:hunter2@h",
};

static void a_password_is_never_printed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(secret_urls); i++) {
        struct options options;
        struct bytes text = BYTES_EMPTY;
        set("LARDER_REDIS", secret_urls[i]);
        if (options_load(look, &options, &text))
            options_append_printable(&options, OPTION_REDIS, &text);
        assert_non_null(strstr(bytes_text(&text), "***@"));
        assert_null(strstr(bytes_text(&text), "hunter2"));
        bytes_free(&text);
    }
}

static void unknown_names_are_told(void **state)
{
    char *environment[] = {"LARDER_THREAD=3", "LARDER_THREADS=3", "LARDER_STATE=x", "PATH=/", NULL};
    struct bytes lines = BYTES_EMPTY;
    (void)state;
    options_unknown(environment, &lines);
    assert_string_equal(bytes_text(&lines), "LARDER_THREAD is set, but there is no such option\n");
    bytes_free(&lines);
}

static void the_sample_and_the_manual_hold_every_option(void **state)
{
    struct bytes sample = BYTES_EMPTY, manual = BYTES_EMPTY;
    (void)state;
    options_append_sample(&sample);
    options_append_manual(&manual);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        assert_non_null(strstr(bytes_text(&sample), option_rows[i].name));
        assert_non_null(strstr(bytes_text(&manual), option_rows[i].name));
    }
    bytes_free(&sample);
    bytes_free(&manual);
}

UNIT_MAIN(cmocka_unit_test(every_default_is_allowed), cmocka_unit_test(values_are_read),
          cmocka_unit_test(a_bad_value_is_named_with_what_is_allowed),
          cmocka_unit_test(all_faults_are_told_at_once),
          cmocka_unit_test(a_password_is_never_printed), cmocka_unit_test(unknown_names_are_told),
          cmocka_unit_test(the_sample_and_the_manual_hold_every_option))
