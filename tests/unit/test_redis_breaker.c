#include "unit.h"

#include "redis/breaker.h"

#define PROBE 1000

static void stays_closed_below_the_limit(void **state)
{
    struct breaker breaker;
    (void)state;
    breaker_init(&breaker, PROBE);
    for (int i = 1; i < BREAKER_FAILURES; i++)
        assert_false(breaker_failed(&breaker, 0));
    assert_false(breaker_is_open(&breaker));
    assert_true(breaker_allows(&breaker, 1));
    assert_true(breaker_allows(&breaker, 1));
}

static void a_success_forgets_the_failures(void **state)
{
    struct breaker breaker;
    (void)state;
    breaker_init(&breaker, PROBE);
    for (int round = 0; round < 3; round++) {
        for (int i = 1; i < BREAKER_FAILURES; i++)
            assert_false(breaker_failed(&breaker, 0));
        assert_false(breaker_succeeded(&breaker));
    }
    assert_false(breaker_is_open(&breaker));
}

static void trip(struct breaker *breaker, int64_t now)
{
    breaker_init(breaker, PROBE);
    for (int i = 1; i < BREAKER_FAILURES; i++)
        assert_false(breaker_failed(breaker, now));
    assert_true(breaker_failed(breaker, now));
}

static void opens_once_and_lets_one_probe_through_an_interval(void **state)
{
    struct breaker breaker;
    (void)state;
    trip(&breaker, 100);
    assert_true(breaker_is_open(&breaker));
    assert_false(breaker_allows(&breaker, 100 + PROBE - 1));
    assert_true(breaker_allows(&breaker, 100 + PROBE));
    assert_false(breaker_allows(&breaker, 100 + PROBE));
    assert_false(breaker_failed(&breaker, 100 + PROBE)); /* told already that it opened */
    assert_false(breaker_allows(&breaker, 100 + PROBE + PROBE - 1));
    assert_true(breaker_allows(&breaker, 100 + PROBE + PROBE));
}

static void a_successful_probe_closes(void **state)
{
    struct breaker breaker;
    (void)state;
    trip(&breaker, 0);
    assert_true(breaker_allows(&breaker, PROBE));
    assert_true(breaker_succeeded(&breaker));
    assert_false(breaker_succeeded(&breaker));
    assert_false(breaker_is_open(&breaker));
    assert_true(breaker_allows(&breaker, PROBE));
    assert_true(breaker_allows(&breaker, PROBE));
}

UNIT_MAIN(cmocka_unit_test(stays_closed_below_the_limit),
          cmocka_unit_test(a_success_forgets_the_failures),
          cmocka_unit_test(opens_once_and_lets_one_probe_through_an_interval),
          cmocka_unit_test(a_successful_probe_closes))
