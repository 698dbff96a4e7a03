#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "work/refresh_plan.h"

#define MS INT64_C(1000)
#define SECOND INT64_C(1000000)
#define NOW (1000 * SECOND)
#define LIFE (60 * SECOND)

static const struct span tag = {"\"a\"", 3}, none = {NULL, 0};

static struct url_found page(uint64_t key, uint64_t clock)
{
    struct url_found found = {.key = key, .clock = clock, .coding = URL_GZIP};
    snprintf(found.target, sizeof found.target, "/page/%u", (unsigned)key);
    return found;
}

static bool add(struct refresh_plan *plan, uint64_t key, uint64_t clock, int64_t now)
{
    struct url_found found = page(key, clock);
    return refresh_plan_add(plan, &found, LIFE, now);
}

static struct refresh_job *begun(struct refresh_plan *plan, enum refresh_kind kind, int64_t now)
{
    struct refresh_job *job = refresh_plan_begin(plan, now);
    assert_non_null(job);
    assert_int_equal(job->kind, kind);
    return job;
}

/* The job that is due next, at its time. */
static struct refresh_job *begun_next(struct refresh_plan *plan, enum refresh_kind kind,
                                      int64_t *now)
{
    int64_t next = refresh_plan_next(plan);
    assert_true(next < NOW + LIFE);
    *now = next > *now ? next : *now;
    return begun(plan, kind, *now);
}

static void a_stale_page_is_fetched_and_then_looked_at_twice(void **state)
{
    struct refresh_plan *plan = refresh_plan_new();
    int64_t now = NOW;
    (void)state;
    assert_true(add(plan, 7, 1, now));
    struct refresh_job *job = begun(plan, REFRESH_FETCH, now);
    assert_string_equal(job->target, "/page/7");
    assert_int_equal(job->coding, URL_GZIP);
    assert_null(refresh_plan_begin(plan, now));
    refresh_plan_end(plan, job, REFRESH_DONE, tag, now);
    for (int look = 0; look < 2; look++) {
        job = begun_next(plan, REFRESH_LOOK, &now);
        assert_string_equal(job->tag, "\"a\"");
        refresh_plan_end(plan, job, REFRESH_DONE, none, now);
    }
    assert_true(now - NOW > 500 * MS);
    assert_int_equal(refresh_plan_count(plan), 0);
    assert_int_equal(refresh_plan_next(plan), INT64_MAX);
    refresh_plan_free(plan);
}

static void an_older_version_in_nginx_is_fetched_again(void **state)
{
    struct refresh_plan *plan = refresh_plan_new();
    int64_t now = NOW;
    (void)state;
    assert_true(add(plan, 7, 1, now));
    refresh_plan_end(plan, begun(plan, REFRESH_FETCH, now), REFRESH_DONE, tag, now);
    refresh_plan_end(plan, begun_next(plan, REFRESH_LOOK, &now), REFRESH_OTHER, none, now);
    refresh_plan_end(plan, begun(plan, REFRESH_FETCH, now), REFRESH_DONE, tag, now);
    (void)begun_next(plan, REFRESH_LOOK, &now);
    refresh_plan_free(plan);
}

static void a_page_is_in_the_plan_once(void **state)
{
    struct refresh_plan *plan = refresh_plan_new();
    (void)state;
    assert_true(add(plan, 7, 1, NOW));
    assert_true(add(plan, 7, 1, NOW));
    struct refresh_job *job = begun(plan, REFRESH_FETCH, NOW);
    assert_true(add(plan, 7, 1, NOW));
    assert_int_equal(refresh_plan_count(plan), 1);
    assert_null(refresh_plan_begin(plan, NOW));
    refresh_plan_end(plan, job, REFRESH_DONE, tag, NOW);
    refresh_plan_free(plan);
}

static void a_page_that_changes_all_the_time_is_fetched_half_of_the_time(void **state)
{
    struct refresh_plan *plan = refresh_plan_new();
    int64_t now = NOW, busy = 0;
    (void)state;
    for (uint64_t clock = 1; clock <= 10; clock++) {
        assert_true(add(plan, 7, clock, now));
        struct refresh_job *job = begun_next(plan, REFRESH_FETCH, &now);
        now += 20 * MS;
        busy += 20 * MS;
        refresh_plan_end(plan, job, REFRESH_DONE, tag, now);
    }
    assert_true(now - NOW >= 2 * busy - 20 * MS);
    refresh_plan_free(plan);
}

static void what_is_as_old_after_a_fetch_as_before_counts_as_failed(void **state)
{
    struct refresh_plan *plan = refresh_plan_new();
    (void)state;
    assert_true(add(plan, 7, 1, NOW));
    refresh_plan_end(plan, begun(plan, REFRESH_FETCH, NOW), REFRESH_DONE, tag, NOW);
    assert_false(add(plan, 7, 1, NOW));
    assert_null(refresh_plan_begin(plan, NOW + 50 * MS));
    (void)begun(plan, REFRESH_FETCH, NOW + 200 * MS);
    refresh_plan_free(plan);
}

static void failures_are_tried_again_ever_later_until_nginx_forgets_the_page(void **state)
{
    struct refresh_plan *plan = refresh_plan_new();
    int64_t now = NOW, last = 0;
    int tries = 0;
    (void)state;
    assert_true(add(plan, 7, 1, now));
    while (refresh_plan_count(plan)) {
        struct refresh_job *job = refresh_plan_begin(plan, now);
        if (job)
            refresh_plan_end(plan, job, REFRESH_FAILED, none, now), tries++, last = now;
        now += 10 * MS;
    }
    assert_in_range(tries, 10, 30);
    assert_true(last < NOW + LIFE && now >= NOW + LIFE);
    refresh_plan_free(plan);
}

static void a_page_that_is_gone_is_done_with(void **state)
{
    struct refresh_plan *plan = refresh_plan_new();
    (void)state;
    assert_true(add(plan, 7, 1, NOW));
    refresh_plan_end(plan, begun(plan, REFRESH_FETCH, NOW), REFRESH_GONE, none, NOW);
    assert_int_equal(refresh_plan_count(plan), 0);
    refresh_plan_free(plan);
}

static void so_many_are_under_way_and_so_many_begin_in_a_second(void **state)
{
    struct refresh_plan *plan = refresh_plan_new();
    struct refresh_job *jobs[REFRESH_AT_ONCE];
    int64_t now = NOW;
    size_t done = 0;
    (void)state;
    for (uint64_t key = 1; key <= 2 * REFRESH_PLAN_MAX; key++)
        assert_true(add(plan, key, 1, now));
    assert_int_equal(refresh_plan_count(plan), REFRESH_PLAN_MAX);
    for (size_t i = 0; i < REFRESH_AT_ONCE; i++)
        jobs[i] = begun(plan, REFRESH_FETCH, now);
    assert_null(refresh_plan_begin(plan, now));
    for (size_t i = 0; i < REFRESH_AT_ONCE; i++)
        refresh_plan_end(plan, jobs[i], REFRESH_GONE, none, now);
    for (; now < NOW + SECOND; now += MS) {
        struct refresh_job *job;
        while ((job = refresh_plan_begin(plan, now)) != NULL) {
            refresh_plan_end(plan, job, REFRESH_GONE, none, now);
            done++;
        }
    }
    assert_in_range(done, REFRESH_PER_SECOND - 50, REFRESH_PER_SECOND + 150);
    refresh_plan_free(plan);
}

static void fetches_come_before_looks(void **state)
{
    struct refresh_plan *plan = refresh_plan_new();
    (void)state;
    assert_true(add(plan, 7, 1, NOW));
    refresh_plan_end(plan, begun(plan, REFRESH_FETCH, NOW), REFRESH_DONE, tag, NOW);
    assert_true(add(plan, 8, 1, NOW + SECOND));
    assert_string_equal(begun(plan, REFRESH_FETCH, NOW + SECOND)->target, "/page/8");
    (void)begun(plan, REFRESH_LOOK, NOW + SECOND);
    refresh_plan_free(plan);
}

static void fetch_hundred(struct refresh_plan *plan, uint64_t first, int64_t now)
{
    for (uint64_t key = first; key < first + 100; key++) {
        assert_true(add(plan, key, 1, now));
        refresh_plan_end(plan, begun(plan, REFRESH_FETCH, now), REFRESH_DONE, tag, now);
    }
}

static void looks_take_no_fetch_s_turn(void **state)
{
    struct refresh_plan *plan = refresh_plan_new();
    struct refresh_job *job;
    int64_t now = NOW + 2 * SECOND;
    size_t looks = 0;
    (void)state;
    fetch_hundred(plan, 1000, NOW);
    fetch_hundred(plan, 2000, NOW + SECOND);
    while ((job = refresh_plan_begin(plan, now)) != NULL) {
        assert_int_equal(job->kind, REFRESH_LOOK);
        refresh_plan_end(plan, job, REFRESH_GONE, none, now);
        looks++;
    }
    assert_in_range(looks, 50, 150); /* no more at once, and others are due */
    assert_in_range(refresh_plan_next(plan), now, now + 2 * SECOND / REFRESH_LOOKS_PER_SECOND);
    assert_true(add(plan, 7, 1, now));
    (void)begun(plan, REFRESH_FETCH, now);
    refresh_plan_free(plan);
}

UNIT_MAIN(cmocka_unit_test(a_stale_page_is_fetched_and_then_looked_at_twice),
          cmocka_unit_test(an_older_version_in_nginx_is_fetched_again),
          cmocka_unit_test(a_page_is_in_the_plan_once),
          cmocka_unit_test(a_page_that_changes_all_the_time_is_fetched_half_of_the_time),
          cmocka_unit_test(what_is_as_old_after_a_fetch_as_before_counts_as_failed),
          cmocka_unit_test(failures_are_tried_again_ever_later_until_nginx_forgets_the_page),
          cmocka_unit_test(a_page_that_is_gone_is_done_with),
          cmocka_unit_test(so_many_are_under_way_and_so_many_begin_in_a_second),
          cmocka_unit_test(fetches_come_before_looks), cmocka_unit_test(looks_take_no_fetch_s_turn))
