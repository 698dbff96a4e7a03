#include "unit.h"

#include "base/quiet.h"

static void the_first_is_said_however_young_the_clock(void **state)
{
    (void)state;
    for (int64_t now = 0; now <= 2 * QUIET_TIME; now += QUIET_TIME / 4) {
        struct quiet quiet = {0};
        assert_true(quiet_over(&quiet, now));
        assert_false(quiet_over(&quiet, now));
    }
}

static void it_is_said_again_when_the_time_is_over(void **state)
{
    struct quiet quiet = {0};
    (void)state;
    assert_true(quiet_over(&quiet, 5));
    assert_false(quiet_over(&quiet, 5 + QUIET_TIME));
    assert_true(quiet_over(&quiet, 6 + QUIET_TIME));
    assert_false(quiet_over(&quiet, 7 + QUIET_TIME));
}

UNIT_MAIN(cmocka_unit_test(the_first_is_said_however_young_the_clock),
          cmocka_unit_test(it_is_said_again_when_the_time_is_over))
