#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/error.h"

static void keeps_kind_and_text(void **state)
{
    (void)state;
    struct error error = {0};
    assert_false(error_set(&error, ERROR_INVALID, "limit must be at most %d", 100));
    assert_int_equal(error.kind, ERROR_INVALID);
    assert_string_equal(error.text, "limit must be at most 100");
}

static void a_null_error_is_allowed(void **state)
{
    (void)state;
    assert_false(error_set(NULL, ERROR_INVALID, "%d", 1));
    assert_false(error_set_errno(NULL, "%d", 1));
    assert_false(error_set_memory(NULL));
}

static void adds_what_the_system_says(void **state)
{
    (void)state;
    struct error error = {0};
    errno = ENOENT;
    assert_false(error_set_errno(&error, "opening %s", "x"));
    assert_int_equal(error.kind, ERROR_SYSTEM);
    assert_string_equal(error.text, "opening x: No such file or directory");
}

static void out_of_memory_has_its_text(void **state)
{
    (void)state;
    struct error error = {0};
    assert_false(error_set_memory(&error));
    assert_int_equal(error.kind, ERROR_MEMORY);
    assert_string_equal(error.text, "out of memory");
}

static void cuts_a_long_text(void **state)
{
    (void)state;
    struct {
        struct error error;
        char guard;
    } held = {.guard = 'g'};
    for (int width = ERROR_TEXT_MAX - 3; width < ERROR_TEXT_MAX + 3; width++) {
        size_t expected = (size_t)(width < ERROR_TEXT_MAX ? width : ERROR_TEXT_MAX - 1);
        error_set(&held.error, ERROR_INVALID, "%*d", width, 1);
        assert_int_equal(strlen(held.error.text), expected);
        errno = ENOENT;
        error_set_errno(&held.error, "%*d", width, 1);
        assert_int_equal(strlen(held.error.text), ERROR_TEXT_MAX - 1);
        assert_int_equal(held.guard, 'g');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_kind_and_text),       cmocka_unit_test(a_null_error_is_allowed),
        cmocka_unit_test(adds_what_the_system_says), cmocka_unit_test(out_of_memory_has_its_text),
        cmocka_unit_test(cuts_a_long_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
