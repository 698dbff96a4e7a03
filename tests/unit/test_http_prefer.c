#include "unit.h"

#include "http/prefer.h"

static void reads_what_is_preferred(void **state)
{
    static const struct {
        const char *value;
        bool respond_async;
        int64_t wait;
    } cases[] = {
        {"", false, -1},
        {"respond-async", true, -1},
        {"Respond-Async", true, -1},
        {"respond-async; foo=bar", true, -1},
        {"respond-async=\"\"", true, -1},
        {"respond-async=1", false, -1},
        {"wait=10", false, 10},
        {"wait = 10 ;x", false, 10},
        {"wait=\"7\"", false, 7},
        {"respond-async, wait=0", true, 0},
        {"wait=5, wait=9", false, 5},
        {"wait", false, -1},
        {"wait=", false, -1},
        {"wait=-1", false, -1},
        {"wait=1.5", false, -1},
        {"wait=99999999999999999999", false, 1000000},
        {"foo=\"a, respond-async\", return=minimal", false, -1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct prefer prefer = PREFER_NONE;
        prefer_read(span_of(cases[i].value), &prefer);
        if (prefer.respond_async != cases[i].respond_async || prefer.wait != cases[i].wait)
            fail_msg("%s: %d %lld", cases[i].value, prefer.respond_async, (long long)prefer.wait);
    }
}

static void takes_several_lines(void **state)
{
    struct prefer prefer = PREFER_NONE;
    (void)state;
    prefer_read(span_of("wait=3"), &prefer);
    prefer_read(span_of("respond-async, wait=8"), &prefer);
    assert_true(prefer.respond_async);
    assert_int_equal(prefer.wait, 3);
}

UNIT_MAIN(cmocka_unit_test(reads_what_is_preferred), cmocka_unit_test(takes_several_lines))
