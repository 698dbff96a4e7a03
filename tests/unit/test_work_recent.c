#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "work/recent.h"

#define WINDOW 100

static struct recent *recent_of(size_t most)
{
    struct recent *recent = recent_new(most, WINDOW, 1000, 0);
    assert_non_null(recent);
    return recent;
}

static void add(struct recent *recent, const char *tag, int64_t last, int64_t now)
{
    const struct span span = span_of(tag);
    recent_add(recent, &span, 1, last, now);
}

static bool holds(const struct recent *recent, const char *tag)
{
    struct span *tags;
    size_t count;
    bool found = false;
    assert_true(recent_list(recent, 0, &tags, &count));
    for (size_t i = 0; i < count; i++)
        found = found || span_is(tags[i], tag);
    free(tags);
    return found;
}

static size_t size(const struct recent *recent)
{
    struct span *tags;
    size_t count;
    assert_true(recent_list(recent, 0, &tags, &count));
    free(tags);
    return count;
}

static void tags_are_kept_for_a_window_at_least_and_two_at_most(void **state)
{
    struct recent *recent = recent_of(10);
    (void)state;
    add(recent, "a", 1001, 10);
    add(recent, "b", 1002, 110);
    assert_true(holds(recent, "a"));
    add(recent, "c", 1003, 200);
    assert_true(holds(recent, "a"));
    add(recent, "d", 1004, 220);
    assert_false(holds(recent, "a"));
    assert_false(holds(recent, "b"));
    assert_true(holds(recent, "d"));
    assert_true(holds(recent, "c"));
    recent_free(recent);
}

static void a_tag_bumped_often_takes_one_place(void **state)
{
    struct recent *recent = recent_of(2);
    (void)state;
    for (int64_t i = 0; i < 100; i++)
        add(recent, i % 2 ? "a" : "b", 1001 + i, 1);
    assert_int_equal(size(recent), 2);
    assert_true(recent_covers(recent, 1000));
    recent_free(recent);
}

static void it_covers_servers_that_know_of_what_came_before_it(void **state)
{
    struct recent *recent = recent_of(10);
    (void)state;
    assert_true(recent_covers(recent, 1000));
    assert_false(recent_covers(recent, 999));
    add(recent, "a", 1001, 10);
    add(recent, "b", 1002, 110);
    assert_true(recent_covers(recent, 1000));
    add(recent, "c", 1003, 220);
    assert_false(recent_covers(recent, 1001));
    assert_true(recent_covers(recent, 1002));
    recent_free(recent);
}

static void what_the_server_knows_of_is_not_listed(void **state)
{
    struct recent *recent = recent_of(10);
    struct span *tags;
    size_t count;
    (void)state;
    add(recent, "a", 1001, 1);
    add(recent, "b", 1002, 1);
    add(recent, "a", 1003, 1);
    assert_true(recent_list(recent, 1002, &tags, &count));
    assert_int_equal(count, 1);
    assert_true(span_is(tags[0], "a"));
    free(tags);
    recent_free(recent);
}

/* As after a failover: the tags are the memory's own, and the half they lie in is let go. */
static void its_own_tags_can_be_added_again(void **state)
{
    struct recent *recent = recent_of(10);
    struct span *tags;
    size_t count;
    (void)state;
    add(recent, "a", 1001, 110);
    assert_true(recent_list(recent, 0, &tags, &count));
    recent_add(recent, tags, count, 1002, 300);
    free(tags);
    assert_true(holds(recent, "a"));
    recent_free(recent);
}

static void too_many_tags_make_it_incomplete_until_they_are_old(void **state)
{
    struct recent *recent = recent_of(1000);
    char tag[16];
    (void)state;
    for (int i = 0; i < 1001; i++) {
        snprintf(tag, sizeof tag, "tag %d", i);
        add(recent, tag, 1001 + i, 1);
    }
    assert_int_equal(size(recent), 1000);
    assert_false(recent_covers(recent, 5000));
    add(recent, "a", 3000, 150);
    assert_false(recent_covers(recent, 5000));
    add(recent, "b", 3001, 300);
    assert_true(recent_covers(recent, 5000));
    recent_free(recent);
}

static void somebody_else_s_bump_makes_it_incomplete_until_it_is_old(void **state)
{
    struct recent *recent = recent_of(10);
    (void)state;
    recent_miss(recent);
    add(recent, "a", 1005, 10);
    assert_false(recent_covers(recent, 1005));
    add(recent, "b", 1006, 150);
    add(recent, "c", 1007, 300);
    assert_true(recent_covers(recent, 1006));
    recent_free(recent);
}

static void beginning_anew_forgets_everything(void **state)
{
    struct recent *recent = recent_of(10);
    (void)state;
    add(recent, "a", 1001, 10);
    recent_miss(recent);
    recent_begin(recent, 2000, 20);
    assert_int_equal(size(recent), 0);
    assert_true(recent_covers(recent, 2000));
    assert_false(recent_covers(recent, 1999));
    recent_free(recent);
}

UNIT_MAIN(cmocka_unit_test(what_the_server_knows_of_is_not_listed),
          cmocka_unit_test(its_own_tags_can_be_added_again),
          cmocka_unit_test(tags_are_kept_for_a_window_at_least_and_two_at_most),
          cmocka_unit_test(a_tag_bumped_often_takes_one_place),
          cmocka_unit_test(it_covers_servers_that_know_of_what_came_before_it),
          cmocka_unit_test(too_many_tags_make_it_incomplete_until_they_are_old),
          cmocka_unit_test(somebody_else_s_bump_makes_it_incomplete_until_it_is_old),
          cmocka_unit_test(beginning_anew_forgets_everything))
