#include "unit.h"

#include "work/sweep.h"

/* Sweeps up to `end` once; every piece takes what `cost` µs a number make. Gives how many pieces.
 */
static unsigned sweep_once(struct sweep *sweep, uint64_t end, double cost, int64_t *ret_longest)
{
    unsigned pieces = 0;
    uint64_t from, until, reached = 0;
    *ret_longest = 0;
    do {
        sweep_piece(sweep, end, &from, &until);
        assert_int_equal(from, reached);
        assert_true(until > from && until <= end);
        int64_t took = (int64_t)((double)(until - from) * cost);
        *ret_longest = took > *ret_longest ? took : *ret_longest;
        int64_t pause = sweep_done(sweep, until, end, false, took);
        assert_true(pause >= SWEEP_PART * took || pause == SWEEP_PAUSE_MOST);
        reached = until;
        assert_true(++pieces < 100000);
    } while (reached < end);
    return pieces;
}

static void every_number_is_looked_at_once(void **state)
{
    struct sweep sweep = {0};
    int64_t longest;
    (void)state;
    sweep_once(&sweep, 1, 0, &longest);
    sweep_once(&sweep, 5000000, 0.5, &longest);
    assert_int_equal(sweep.next, 0);
}

static void where_nothing_is_few_pieces_do(void **state)
{
    struct sweep sweep = {0};
    int64_t longest;
    (void)state;
    assert_true(sweep_once(&sweep, UINT64_C(1) << 62, 0, &longest) < 64);
    assert_int_equal(sweep_once(&sweep, UINT64_C(1) << 40, 0, &longest), 1);
}

/* As behind a pooler, where each piece is planned anew. */
static void pieces_grow_although_each_has_its_round_trips(void **state)
{
    const uint64_t end = UINT64_C(1) << 62;
    struct sweep sweep = {0};
    uint64_t from, until;
    unsigned pieces = 0;
    (void)state;
    do {
        sweep_piece(&sweep, end, &from, &until);
        sweep_done(&sweep, until, end, false, 5000);
    } while (++pieces < 64 && until < end);
    assert_true(pieces < 64);
}

/* As on a busy machine. What came to no end made pieces single numbers before. */
static void pieces_that_all_take_long_become_no_single_numbers(void **state)
{
    const uint64_t end = 1000000;
    struct sweep sweep = {.width = 1};
    unsigned pieces = 0;
    uint64_t from, until;
    (void)state;
    do {
        sweep_piece(&sweep, end, &from, &until);
        sweep_done(&sweep, until, end, false, 3 * SWEEP_PIECE);
        assert_true(++pieces < 1000);
    } while (until < end);
    sweep = (struct sweep){0};
    for (pieces = 0; pieces < 20; pieces++) { /* where one piece is all there is, too */
        sweep_piece(&sweep, 100, &from, &until);
        assert_int_equal(until - from, 100);
        sweep_done(&sweep, until, 100, false, 3 * SWEEP_PIECE);
    }
}

/* Each piece has its pause, of fifty times what it took. */
static void behind_a_number_that_was_passed_over_few_pieces_do(void **state)
{
    const uint64_t end = 1000000;
    struct sweep sweep = {.width = 1};
    unsigned pieces = 0;
    uint64_t from, until;
    (void)state;
    sweep_piece(&sweep, end, &from, &until);
    sweep_broken(&sweep, until);
    do {
        sweep_piece(&sweep, end, &from, &until);
        sweep_done(&sweep, until, end, false, 3 * SWEEP_PIECE);
        pieces++;
    } while (until - from < 1024);
    assert_in_range(pieces, 1, 5);
}

static void pieces_stay_short_however_much_there_is(void **state)
{
    struct sweep sweep = {0};
    int64_t longest;
    (void)state;
    sweep_once(&sweep, 4000000, 1, &longest);
    sweep_once(&sweep, 4000000, 1, &longest);
    assert_true(longest <= 2 * SWEEP_PIECE);
}

/* Where there was nothing before, one piece is all there is. */
static void what_was_filled_at_once_is_soon_in_short_pieces(void **state)
{
    struct sweep sweep = {0};
    int64_t longest;
    (void)state;
    sweep_once(&sweep, UINT64_C(1) << 62, 0, &longest);
    sweep_once(&sweep, 4000000, 1, &longest);
    assert_true(longest >= 100 * SWEEP_PIECE);
    sweep_once(&sweep, 4000000, 1, &longest);
    sweep_once(&sweep, 4000000, 1, &longest);
    assert_true(longest <= 2 * SWEEP_PIECE);
}

static void between_sweeps_is_a_pause(void **state)
{
    struct sweep sweep = {0};
    uint64_t from, until;
    (void)state;
    sweep_piece(&sweep, 10, &from, &until);
    assert_int_equal(sweep_done(&sweep, until, 10, false, 0), SWEEP_INTERVAL);
    sweep_piece(&sweep, 10, &from, &until);
    assert_int_equal(sweep_done(&sweep, until, 10, false, 2 * SWEEP_PIECE),
                     SWEEP_PART * 2 * SWEEP_PIECE);
    sweep_piece(&sweep, 10, &from, &until);
    assert_int_equal(sweep_done(&sweep, until, 10, false, 45 * SWEEP_PIECE), SWEEP_PAUSE_MOST);
}

static void what_was_not_all_taken_comes_again_at_once(void **state)
{
    struct sweep sweep = {0};
    uint64_t from, until, again;
    (void)state;
    sweep_piece(&sweep, 10000, &from, &until);
    assert_int_equal(sweep_done(&sweep, until, 10000, true, 50000), 0);
    sweep_piece(&sweep, 10000, &again, &until);
    assert_int_equal(again, from);
}

static void a_server_that_counts_anew_is_swept_from_the_start(void **state)
{
    struct sweep sweep = {.next = 5000, .width = 10};
    uint64_t from, until;
    (void)state;
    sweep_piece(&sweep, 100, &from, &until);
    assert_int_equal(from, 0);
    assert_int_equal(until, 10);
}

/* From all numbers there are it takes as many tries as they have bits. */
static void a_number_that_can_t_be_looked_at_is_passed_over(void **state)
{
    const uint64_t bad = UINT64_C(123456789), end = UINT64_C(1) << 40;
    struct sweep sweep = {.width = UINT64_MAX / 4};
    uint64_t from, until;
    unsigned broken = 0;
    (void)state;
    do {
        sweep_piece(&sweep, end, &from, &until);
        assert_true(from < until && broken < 100);
        if (from <= bad && bad < until) {
            sweep_broken(&sweep, until);
            broken++;
        } else {
            sweep_done(&sweep, until, end, false, 0);
        }
    } while (from <= bad);
    assert_int_equal(from, bad + 1);
    sweep = (struct sweep){.next = 9, .width = 1};
    sweep_piece(&sweep, 10, &from, &until);
    sweep_broken(&sweep, until);
    sweep_piece(&sweep, 10, &from, &until);
    assert_int_equal(from, 0);
}

UNIT_MAIN(cmocka_unit_test(every_number_is_looked_at_once),
          cmocka_unit_test(where_nothing_is_few_pieces_do),
          cmocka_unit_test(pieces_grow_although_each_has_its_round_trips),
          cmocka_unit_test(pieces_that_all_take_long_become_no_single_numbers),
          cmocka_unit_test(behind_a_number_that_was_passed_over_few_pieces_do),
          cmocka_unit_test(pieces_stay_short_however_much_there_is),
          cmocka_unit_test(what_was_filled_at_once_is_soon_in_short_pieces),
          cmocka_unit_test(between_sweeps_is_a_pause),
          cmocka_unit_test(what_was_not_all_taken_comes_again_at_once),
          cmocka_unit_test(a_number_that_can_t_be_looked_at_is_passed_over),
          cmocka_unit_test(a_server_that_counts_anew_is_swept_from_the_start))
