#include "unit.h"

#include "work/pace.h"

#define LONGEST INT64_C(1000000)

static const struct pace_poll rows = {.found = true},
                              rows_asleep = {.found = true,
                                             .some_notify = true,
                                             .all_notify = true},
                              nothing = {0},
                              nothing_asleep = {.some_notify = true, .all_notify = true};

/* Polls without rows until it wishes to lie down; how long it waited. */
static int64_t tire(struct pace *pace)
{
    int64_t waited = 0;
    for (int i = 0; i < 100; i++) {
        if (pace_polled(pace, &nothing) == PACE_LIE_DOWN)
            return waited;
        waited += pace_wait(pace, LONGEST);
    }
    fail();
    return 0;
}

static struct pace sleeper(uint64_t until)
{
    struct pace pace = {0};
    struct pace_poll quiet = {.some_notify = true, .all_notify = true, .oldest_running = until};
    tire(&pace);
    pace_lain_down(&pace, until);
    assert_int_equal(pace_polled(&pace, &quiet), PACE_STAY);
    assert_int_equal(pace.state, PACE_ASLEEP);
    return pace;
}

static void rows_are_followed_by_a_poll_soon_and_more_by_one_at_once(void **state)
{
    struct pace pace = {0};
    (void)state;
    struct pace_poll more = rows;
    assert_int_equal(pace_polled(&pace, &rows), PACE_STAY);
    assert_int_equal(pace_wait(&pace, LONGEST), PACE_LEAST);
    more.more = true;
    pace_polled(&pace, &more);
    assert_int_equal(pace_wait(&pace, LONGEST), 0);
}

static void many_rows_leave_twice_the_time_that_they_took(void **state)
{
    static const struct {
        int64_t rows, took, wait;
    } cases[] = {{PACE_FEW, 2000, PACE_LEAST},
                 {PACE_FEW + 1, 2000, 4000},
                 {PACE_FEW + 1, 100, PACE_LEAST},
                 {PACE_FEW + 1, 100000, PACE_MANY_MOST}};
    struct pace pace = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        tire(&pace);
        pace_polled(&pace, &(struct pace_poll){
                               .found = true, .rows = cases[i].rows, .took = cases[i].took});
        assert_int_equal(pace_wait(&pace, LONGEST), cases[i].wait);
    }
}

/* However long the pause was. */
static void a_lull_is_polled_as_often_as_few_rows_are(void **state)
{
    struct pace pace = {0};
    (void)state;
    pace_polled(&pace, &(struct pace_poll){.found = true, .rows = PACE_FEW + 1, .took = 10000});
    pace_polled(&pace, &nothing);
    assert_int_equal(pace_wait(&pace, LONGEST), PACE_LEAST);
}

static void idleness_slows_down_and_ends_in_sleep(void **state)
{
    struct pace pace = {0};
    (void)state;
    for (int i = 0; i < PACE_LULL; i++) {
        pace_polled(&pace, &nothing);
        assert_int_equal(pace_wait(&pace, LONGEST), PACE_LEAST);
    }
    pace_polled(&pace, &nothing);
    assert_int_equal(pace_wait(&pace, LONGEST), 2 * PACE_LEAST);
    int64_t waited = tire(&pace);
    assert_in_range(waited, 10 * PACE_AWAKE_MOST, 30 * PACE_AWAKE_MOST);
}

/* A writer that saw "polling" may commit long after; its number is below the one drawn then. */
static void it_is_drowsy_until_all_who_may_have_seen_it_awake_have_ended(void **state)
{
    struct pace pace = {0};
    struct pace_poll running = {.some_notify = true, .all_notify = true, .oldest_running = 99};
    (void)state;
    tire(&pace);
    pace_lain_down(&pace, 100);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(pace_polled(&pace, &running), PACE_STAY);
        assert_int_equal(pace.state, PACE_DROWSY);
        assert_in_range(pace_wait(&pace, LONGEST), 1, PACE_MOST);
    }
    running.oldest_running = 100;
    assert_int_equal(pace_polled(&pace, &running), PACE_STAY);
    assert_int_equal(pace.state, PACE_ASLEEP);
    assert_int_equal(pace_wait(&pace, LONGEST), LONGEST);
}

static void a_single_row_does_not_end_the_sleep(void **state)
{
    struct pace pace = sleeper(7);
    (void)state;
    assert_int_equal(pace_polled(&pace, &rows_asleep), PACE_STAY);
    assert_int_equal(pace_wait(&pace, LONGEST), PACE_LEAST);
    assert_int_equal(pace_polled(&pace, &nothing_asleep), PACE_STAY);
    assert_int_equal(pace_wait(&pace, LONGEST), LONGEST);
}

static void load_ends_the_sleep(void **state)
{
    struct pace pace = sleeper(7);
    (void)state;
    pace_polled(&pace, &rows_asleep);
    assert_int_equal(pace_polled(&pace, &rows_asleep), PACE_GET_UP);
    assert_int_equal(pace_polled(&pace, &rows), PACE_STAY);
    assert_int_equal(pace.state, PACE_AWAKE);
}

/* The peer set it and may have been killed since. */
static void a_sleeper_that_finds_the_flag_cleared_lies_down_anew(void **state)
{
    struct pace pace = sleeper(7);
    (void)state;
    assert_int_equal(pace_polled(&pace, &nothing), PACE_LIE_DOWN);
    pace_lain_down(&pace, 20);
    assert_int_equal(pace.state, PACE_DROWSY);
}

/* The flag may be set all the same, and who saw it cleared must still be waited for. */
static void a_sleeper_that_failed_to_lie_down_anew_tries_again(void **state)
{
    struct pace pace = sleeper(7);
    (void)state;
    assert_int_equal(pace_polled(&pace, &nothing), PACE_LIE_DOWN);
    assert_int_equal(pace_polled(&pace, &nothing_asleep), PACE_LIE_DOWN);
    assert_in_range(pace_wait(&pace, LONGEST), 0, PACE_AWAKE_MOST);
    pace_lain_down(&pace, 20);
    assert_int_equal(pace.state, PACE_DROWSY);
}

/* They saw it awake, if it lies down now, and notify nobody. */
static void it_is_drowsy_until_nobody_is_about_to_fill_the_ring(void **state)
{
    struct pace pace = {0};
    struct pace_poll coming = {.coming = true, .oldest_running = 100};
    (void)state;
    coming.some_notify = coming.all_notify = true;
    tire(&pace);
    pace_lain_down(&pace, 100);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(pace_polled(&pace, &coming), PACE_STAY);
        assert_in_range(pace_wait(&pace, LONGEST), 1, PACE_MOST);
    }
    coming.coming = false;
    pace_polled(&pace, &coming);
    assert_int_equal(pace_wait(&pace, LONGEST), LONGEST);
}

/* PostgreSQL may have told of them already, with somebody else's notification. */
static void a_sleeper_woken_beside_those_who_come_looks_again(void **state)
{
    struct pace pace = sleeper(7);
    struct pace_poll coming = nothing_asleep;
    (void)state;
    coming.coming = true;
    coming.oldest_running = 7;
    assert_int_equal(pace_polled(&pace, &coming), PACE_STAY);
    assert_int_equal(pace_wait(&pace, LONGEST), PACE_LEAST);
    coming.coming = false;
    pace_polled(&pace, &coming);
    assert_int_equal(pace_wait(&pace, LONGEST), LONGEST);
}

/* Two larderds may have changed the flags in turn, or a ring begun anew beside one who is awake. */
static void flags_that_differ_are_set_as_they_should_be(void **state)
{
    struct pace pace = {0};
    struct pace_poll differing = {.found = true, .some_notify = true};
    (void)state;
    pace_polled(&pace, &differing);
    assert_int_equal(pace_polled(&pace, &differing), PACE_GET_UP);
    pace = sleeper(7);
    differing.found = false;
    assert_int_equal(pace_polled(&pace, &differing), PACE_LIE_DOWN);
}

/* Else two larderds would set the flag against each other at every poll. */
static void a_drowsy_one_leaves_a_peer_s_flag_alone(void **state)
{
    struct pace pace = {0};
    struct pace_poll cleared = {.oldest_running = 5};
    (void)state;
    tire(&pace);
    pace_lain_down(&pace, 100);
    assert_int_equal(pace_polled(&pace, &cleared), PACE_STAY);
}

static void no_wait_is_longer_than_the_longest(void **state)
{
    struct pace pace = {0};
    (void)state;
    tire(&pace);
    assert_int_equal(pace_wait(&pace, PACE_AWAKE_MOST - 1), PACE_AWAKE_MOST - 1);
}

UNIT_MAIN(cmocka_unit_test(rows_are_followed_by_a_poll_soon_and_more_by_one_at_once),
          cmocka_unit_test(many_rows_leave_twice_the_time_that_they_took),
          cmocka_unit_test(a_lull_is_polled_as_often_as_few_rows_are),
          cmocka_unit_test(idleness_slows_down_and_ends_in_sleep),
          cmocka_unit_test(it_is_drowsy_until_all_who_may_have_seen_it_awake_have_ended),
          cmocka_unit_test(a_single_row_does_not_end_the_sleep),
          cmocka_unit_test(load_ends_the_sleep),
          cmocka_unit_test(a_sleeper_that_finds_the_flag_cleared_lies_down_anew),
          cmocka_unit_test(a_sleeper_that_failed_to_lie_down_anew_tries_again),
          cmocka_unit_test(it_is_drowsy_until_nobody_is_about_to_fill_the_ring),
          cmocka_unit_test(a_sleeper_woken_beside_those_who_come_looks_again),
          cmocka_unit_test(flags_that_differ_are_set_as_they_should_be),
          cmocka_unit_test(a_drowsy_one_leaves_a_peer_s_flag_alone),
          cmocka_unit_test(no_wait_is_longer_than_the_longest))
