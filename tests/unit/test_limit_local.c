#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "limit/local.h"

#define SECOND INT64_C(1000000)

static const struct span name = SPAN_LITERAL("a");

static void counts_and_forgets_by_the_clock(void **state)
{
    struct local *local = local_new();
    struct rate rate = rate_of(2, SECOND, 2);
    double debt;
    (void)state;
    assert_true(local_take(local, name, &rate, 0, &debt));
    assert_true(local_take(local, name, &rate, 0, &debt));
    assert_true(debt == rate.most);
    assert_false(local_take(local, name, &rate, 0, &debt));
    assert_true(debt == rate.most);
    assert_false(local_take(local, name, &rate, SECOND / 2 - 1, &debt));
    assert_true(local_take(local, name, &rate, SECOND / 2, &debt));
    assert_true(local_debt(local, SPAN_LITERAL("b"), 0) == 0);
    assert_true(local_debt(local, name, 10 * SECOND) == 0);
    local_free(local);
}

static void a_request_can_be_given_back(void **state)
{
    struct local *local = local_new();
    struct rate rate = rate_of(1, SECOND, 1);
    double debt;
    (void)state;
    local_give_back(local, name, &rate);
    assert_true(local_take(local, name, &rate, 5, &debt));
    local_give_back(local, name, &rate);
    assert_true(local_take(local, name, &rate, 5, &debt));
    local_free(local);
}

static void what_is_learnt_only_grows(void **state)
{
    struct local *local = local_new();
    (void)state;
    local_learn(local, name, 100, 0);
    local_learn(local, name, 50, 0);
    assert_true(local_debt(local, name, 0) == 100);
    local_learn(local, name, 70, 40);
    assert_true(local_debt(local, name, 40) == 70);
    local_free(local);
}

/* However many names come, the largest debts are the last to go. */
static void is_bounded_and_keeps_the_largest(void **state)
{
    struct local *local = local_new();
    char text[32];
    (void)state;
    local_learn(local, name, 1e9, 0);
    for (int i = 0; i < 300000; i++) {
        snprintf(text, sizeof text, "name %d", i);
        local_learn(local, span_of(text), 1000, 0);
    }
    assert_true(local_debt(local, name, 0) == 1e9);
    int known = 0;
    for (int i = 0; i < 300000; i++) {
        snprintf(text, sizeof text, "name %d", i);
        known += local_debt(local, span_of(text), 0) > 0;
    }
    assert_in_range(known, 60000, 65536);
    local_free(local);
}

UNIT_MAIN(cmocka_unit_test(counts_and_forgets_by_the_clock),
          cmocka_unit_test(a_request_can_be_given_back),
          cmocka_unit_test(what_is_learnt_only_grows),
          cmocka_unit_test(is_bounded_and_keeps_the_largest))
