#include "unit.h"

#include "limit/rate.h"

#define SECOND INT64_C(1000000)

static const struct rate_case {
    int64_t count, period, burst;
} cases[] = {
    {1, SECOND, 1},          {10, SECOND, 10},          {7, SECOND, 7},
    {100, 60 * SECOND, 20},  {3, 86400 * SECOND, 1000}, {999999999, SECOND, 999999999},
    {300000, SECOND, 50000},
};

static int64_t passing_at_once(const struct rate *rate, int64_t most)
{
    double debt = 0;
    int64_t passed = 0;
    while (passed < most && rate_passes(rate, debt)) {
        assert_int_equal(rate_remaining(rate, debt), rate->burst - passed);
        debt += rate->interval;
        passed++;
    }
    return passed;
}

static void a_burst_passes_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct rate rate = rate_of(cases[i].count, cases[i].period, cases[i].burst);
        int64_t most = cases[i].burst < 100000 ? cases[i].burst + 2 : 1000;
        int64_t expected = cases[i].burst < 100000 ? cases[i].burst : 1000;
        assert_int_equal(passing_at_once(&rate, most), expected);
    }
}

/* Asked all the time, a rate lets its count through each period and the burst but once. */
static void the_rate_holds_in_the_long_run(void **state)
{
    struct rate rate = rate_of(60, 60 * SECOND, 5);
    double debt = 0;
    int passed = 0;
    (void)state;
    for (int64_t now = 0; now < 600 * SECOND; now += 10000) {
        debt = debt > 10000 ? debt - 10000 : 0;
        if (!rate_passes(&rate, debt))
            continue;
        debt += rate.interval;
        passed++;
    }
    assert_in_range(passed, 600, 605);
}

static void who_waits_as_told_passes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct rate rate = rate_of(cases[i].count, cases[i].period, cases[i].burst);
        double debt = rate.most;
        assert_false(rate_passes(&rate, debt));
        assert_int_equal(rate_remaining(&rate, debt), 0);
        double wait = rate_wait(&rate, debt);
        assert_true(wait > 0 && wait <= rate.interval * 1.001);
        assert_true(rate_passes(&rate, debt - wait));
        assert_false(rate_passes(&rate, debt - wait / 2));
        assert_true(rate_wait(&rate, 0) == 0);
    }
}

UNIT_MAIN(cmocka_unit_test(a_burst_passes_at_once),
          cmocka_unit_test(the_rate_holds_in_the_long_run),
          cmocka_unit_test(who_waits_as_told_passes))
