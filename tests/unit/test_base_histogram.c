#include "unit.h"

#include <math.h>

#include "base/histogram.h"

static void bounds_rise_from_10_us_to_10_s(void **state)
{
    (void)state;
    assert_int_equal(histogram_bound(0), 10);
    for (size_t i = 1; i + 1 < HISTOGRAM_BUCKETS; i++)
        assert_true(histogram_bound(i) > histogram_bound(i - 1));
    assert_int_equal(histogram_bound(HISTOGRAM_BUCKETS - 2), 10000000);
}

static void a_duration_counts_up_to_its_bound(void **state)
{
    static const struct {
        int64_t duration, bound;
    } rows[] = {{-5, 10},
                {0, 10},
                {10, 10},
                {11, 12},
                {100, 100},
                {101, 125},
                {250, 250},
                {900001, 1000000},
                {1000, 1000},
                {9000000, 9000000},
                {10000000, 10000000}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct histogram histogram = {.sum = 0};
        histogram_add(&histogram, rows[i].duration);
        assert_int_equal(histogram_count_up_to(&histogram, rows[i].bound), 1);
        assert_int_equal(histogram_count_up_to(&histogram, rows[i].bound - 1), 0);
    }
}

static void nothing_counted_is_zero(void **state)
{
    struct histogram histogram = {.sum = 0};
    (void)state;
    assert_int_equal(histogram_count(&histogram), 0);
    assert_true(histogram_quantile(&histogram, 0.5) == 0 && histogram_mean(&histogram) == 0);
}

static void quantiles_are_near(void **state)
{
    static const double shares[] = {0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999};
    struct histogram histogram = {.sum = 0};
    (void)state;
    for (int64_t i = 1; i <= 100000; i++)
        histogram_add(&histogram, i);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        double wanted = shares[i] * 100000, got = histogram_quantile(&histogram, shares[i]);
        assert_true(fabs(got - wanted) <= 0.02 * wanted);
    }
    assert_true(histogram_quantile(&histogram, 1) == 100000);
    assert_true(fabs(histogram_mean(&histogram) - 50000.5) < 0.01);
}

/* All of one duration, with one longer, so that the longest bounds nothing. */
static void no_quantile_is_a_quarter_too_high_or_a_fifth_too_low(void **state)
{
    (void)state;
    for (int64_t duration = 10; duration <= 10000000; duration += duration / 50 + 1) {
        struct histogram histogram = {.sum = 0};
        for (int i = 0; i < 100; i++)
            histogram_add(&histogram, duration);
        histogram_add(&histogram, 60000000);
        for (int percent = 1; percent < 99; percent++) {
            double got = histogram_quantile(&histogram, percent / 100.0);
            assert_true(duration == 10 || got >= 0.8 * (double)duration);
            assert_true(got <= 1.25 * (double)duration);
        }
    }
}

static void no_quantile_is_above_the_longest(void **state)
{
    struct histogram histogram = {.sum = 0};
    (void)state;
    histogram_add(&histogram, 4001);
    histogram_add(&histogram, 4001);
    assert_true(histogram_quantile(&histogram, 0.99) <= 4001);
    histogram_add(&histogram, 60000000);
    assert_true(histogram_quantile(&histogram, 1) == 60000000);
    assert_int_equal(histogram_count(&histogram), 3);
    assert_int_equal(histogram_count_up_to(&histogram, 10000000), 2);
}

UNIT_MAIN(cmocka_unit_test(bounds_rise_from_10_us_to_10_s),
          cmocka_unit_test(a_duration_counts_up_to_its_bound),
          cmocka_unit_test(nothing_counted_is_zero), cmocka_unit_test(quantiles_are_near),
          cmocka_unit_test(no_quantile_is_a_quarter_too_high_or_a_fifth_too_low),
          cmocka_unit_test(no_quantile_is_above_the_longest))
