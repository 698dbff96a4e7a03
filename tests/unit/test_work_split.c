#include "work/split.h"

#include "unit.h"

#define MOST 100

/* Tries all writes as split says, until all are dealt with; those marked fail. */
struct trial {
    bool bad[MOST], gone[MOST];
    bool silent; /* who failed is not told */
    bool left;   /* those given up stay out of the next tries, where they would fail again */
    size_t made[MOST], made_count;
    size_t given_up[MOST], given_up_count;
    size_t tries;
};

static void trial_run(struct trial *trial, size_t count)
{
    struct split split = {.count = count};
    size_t from, size;
    while (split_next(&split, &from, &size)) {
        size_t failed = 0;
        while (failed < size && !trial->bad[from + failed])
            failed++;
        assert_true(++trial->tries < 1000);
        if (failed == size) {
            for (size_t i = 0; i < size; i++)
                if (!trial->gone[from + i])
                    trial->made[trial->made_count++] = from + i;
            split_made(&split);
        } else if (split_failed(&split, trial->silent ? size : failed)) {
            assert_int_equal(size, 1);
            trial->given_up[trial->given_up_count++] = from;
            trial->gone[from] = true;
            if (trial->left) {
                split_made(&split);
                continue;
            }
            trial->bad[from] = false;
            split_given_up(&split);
        }
    }
}

static void makes_all_at_once(void **state)
{
    struct trial trial = {.tries = 0};
    (void)state;
    trial_run(&trial, 50);
    assert_int_equal(trial.tries, 1);
    assert_int_equal(trial.made_count, 50);
}

static void has_nothing_to_do(void **state)
{
    struct trial trial = {.tries = 0};
    (void)state;
    trial_run(&trial, 0);
    assert_int_equal(trial.tries, 0);
}

/* Whichever fail: the others are made in their order, and only those given up. */
static void gives_up_those_at_fault_alone(void **state)
{
    (void)state;
    for (unsigned mask = 0; mask < 1u << 8; mask++)
        for (unsigned how = 0; how < 4; how++) {
            struct trial trial = {.silent = how & 1, .left = how & 2};
            size_t bad = 0, good = 0;
            for (size_t i = 0; i < 8; i++)
                trial.bad[i] = mask >> i & 1;
            trial_run(&trial, 8);
            for (size_t i = 0; i < 8; i++) {
                if (trial.gone[i])
                    assert_int_equal(trial.given_up[bad++], i);
                else
                    assert_int_equal(trial.made[good++], i);
            }
            assert_int_equal(trial.given_up_count, bad);
            assert_int_equal(trial.made_count, good);
        }
}

/* Each of them once, though whatever is tried fails: as where what stands around them does. */
static void gives_up_all_that_fail(void **state)
{
    (void)state;
    for (int silent = 0; silent < 2; silent++) {
        struct trial trial = {.silent = silent, .left = true};
        for (size_t i = 0; i < MOST; i++)
            trial.bad[i] = true;
        trial_run(&trial, MOST);
        assert_int_equal(trial.made_count, 0);
        assert_int_equal(trial.given_up_count, MOST);
        for (size_t i = 0; i < MOST; i++)
            assert_int_equal(trial.given_up[i], i);
    }
}

/* One bad write costs the whole, those before it, itself, and those behind it. */
static void costs_little(void **state)
{
    struct trial trial = {.bad = {[40] = true}}, first = {.bad = {[0] = true}};
    (void)state;
    trial_run(&trial, MOST);
    assert_int_equal(trial.tries, 4);
    trial_run(&first, MOST);
    assert_int_equal(first.tries, 3);
}

UNIT_MAIN(cmocka_unit_test(makes_all_at_once), cmocka_unit_test(has_nothing_to_do),
          cmocka_unit_test(gives_up_those_at_fault_alone), cmocka_unit_test(gives_up_all_that_fail),
          cmocka_unit_test(costs_little))
