#include "unit.h"

#include "work/backoff.h"

static void delays_double_from_the_least_to_the_most(void **state)
{
    struct backoff backoff = {0};
    (void)state;
    for (int64_t delay = BACKOFF_LEAST; delay < BACKOFF_MOST; delay *= 2)
        assert_int_equal(backoff_failed(&backoff, 0), delay / 2);
    for (int i = 0; i < 100; i++)
        assert_int_equal(backoff_failed(&backoff, 0), BACKOFF_MOST / 2);
}

static void jitter_takes_half_at_most(void **state)
{
    (void)state;
    for (uint32_t random = 0; random < 1000000; random += 12345) {
        struct backoff backoff = {0};
        int64_t delay = backoff_failed(&backoff, random);
        assert_in_range(delay, BACKOFF_LEAST / 2, BACKOFF_LEAST);
    }
}

static void a_success_starts_anew(void **state)
{
    struct backoff backoff = {0};
    (void)state;
    backoff_failed(&backoff, 0);
    backoff_failed(&backoff, 0);
    backoff_succeeded(&backoff);
    assert_int_equal(backoff_failed(&backoff, 0), BACKOFF_LEAST / 2);
}

UNIT_MAIN(cmocka_unit_test(delays_double_from_the_least_to_the_most),
          cmocka_unit_test(jitter_takes_half_at_most), cmocka_unit_test(a_success_starts_anew))
