#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/memory.h"

#define MEGABYTE ((size_t)1 << 20)
#define NOW 1000000
#define LATER (NOW + 1000000)
#define BODY_SIZE 1000

static char body[BODY_SIZE * 1000];

/* An answer that tells its number by its status. */
static struct kept *answer(unsigned number, size_t size, int64_t created, int64_t ttl,
                           uint64_t clock)
{
    const struct entry_meta meta = {.status = number,
                                    .created = created,
                                    .ttl = ttl,
                                    .clock = clock,
                                    .variants = 1,
                                    .sizes = {size},
                                    .type = SPAN_LITERAL("application/json")};
    struct kept *kept = kept_new(&meta, (struct span[CODING_COUNT]){{body, size}});
    assert_non_null(kept);
    return kept;
}

struct key {
    char text[32];
};

static struct key key_of(const char *kind, unsigned number)
{
    struct key key;
    snprintf(key.text, sizeof key.text, "%s:%u", kind, number);
    return key;
}

static bool put(struct memory *memory, const char *kind, unsigned number, int64_t ttl)
{
    struct key key = key_of(kind, number);
    struct kept *kept = answer(number, BODY_SIZE, NOW, ttl, 1);
    bool admitted = memory_put(memory, span_of(key.text), kept, NOW);
    kept_unref(kept);
    return admitted;
}

static bool has(struct memory *memory, const char *kind, unsigned number)
{
    struct key key = key_of(kind, number);
    struct entry_meta meta;
    struct kept *kept = memory_get(memory, span_of(key.text), NOW);
    if (!kept)
        return false;
    kept_meta(kept, &meta);
    assert_int_equal(meta.status, number);
    kept_unref(kept);
    return true;
}

/* As a request does: asks, and keeps an answer when there is none. */
static bool ask(struct memory *memory, const char *kind, unsigned number)
{
    return has(memory, kind, number) || (put(memory, kind, number, 1000), false);
}

static size_t kept_of(struct memory *memory, const char *kind, unsigned count)
{
    size_t kept = 0;
    for (unsigned i = 0; i < count; i++)
        kept += has(memory, kind, i);
    return kept;
}

static void what_is_put_is_found_under_its_key_alone(void **state)
{
    struct memory *memory = memory_new(MEGABYTE, NULL);
    (void)state;
    assert_false(has(memory, "a", 1));
    assert_true(put(memory, "a", 1, 1000));
    assert_true(put(memory, "a", 2, 1000));
    assert_true(has(memory, "a", 1));
    assert_true(has(memory, "a", 2));
    assert_false(has(memory, "b", 1));
    assert_null(memory_get(memory, (struct span){0}, NOW));
    memory_free(memory);
}

static void an_answer_outlives_its_place_for_who_has_it(void **state)
{
    struct memory *memory = memory_new(MEGABYTE, NULL);
    struct key key = key_of("a", 1);
    struct entry_meta meta;
    (void)state;
    assert_true(put(memory, "a", 1, 1000));
    struct kept *kept = memory_get(memory, span_of(key.text), NOW);
    memory_drop(memory, span_of(key.text));
    memory_drop(memory, span_of(key.text));
    assert_false(has(memory, "a", 1));
    memory_free(memory);
    kept_meta(kept, &meta);
    assert_int_equal(meta.status, 1);
    kept_unref(kept);
}

static void put_again(struct memory *memory, unsigned number, int64_t created, uint64_t clock,
                      bool expected)
{
    struct kept *kept = answer(number, BODY_SIZE, created, 1000, clock);
    assert_int_equal(memory_put(memory, SPAN_LITERAL("a"), kept, NOW), expected);
    kept_unref(kept);
}

static void assert_held(struct memory *memory, unsigned number)
{
    struct entry_meta meta;
    struct kept *kept = memory_get(memory, SPAN_LITERAL("a"), NOW);
    assert_non_null(kept);
    kept_meta(kept, &meta);
    assert_int_equal(meta.status, number);
    kept_unref(kept);
}

static void a_newer_answer_takes_the_place_of_an_older_not_the_reverse(void **state)
{
    struct memory *memory = memory_new(MEGABYTE, NULL);
    struct memory_stats one, two;
    (void)state;
    put_again(memory, 201, NOW, 5, true);
    memory_stats(memory, &one);
    put_again(memory, 202, NOW + 1, 6, true);
    assert_held(memory, 202);
    put_again(memory, 203, NOW, 5, false);
    assert_held(memory, 202);
    put_again(memory, 204, NOW + 2, 0, true); /* filled without Redis, so without a clock */
    assert_held(memory, 204);
    memory_stats(memory, &two);
    assert_int_equal(two.count, 1);
    assert_int_equal(two.bytes, one.bytes);
    memory_free(memory);
}

static void a_life_that_is_over_ends_here_too(void **state)
{
    struct memory *memory = memory_new(MEGABYTE, NULL);
    struct key key = key_of("a", 1);
    struct memory_stats stats;
    (void)state;
    assert_true(put(memory, "a", 1, 1000));
    struct kept *kept = memory_get(memory, span_of(key.text), NOW + 999);
    assert_non_null(kept);
    kept_unref(kept);
    assert_null(memory_get(memory, span_of(key.text), NOW + 1000));
    memory_stats(memory, &stats);
    assert_int_equal(stats.count, 0);
    assert_int_equal(stats.bytes, 0);
    assert_false(put(memory, "a", 1, 0));
    memory_free(memory);
}

static void it_is_bounded_with_all_that_belongs_to_it(void **state)
{
    static const size_t sizes[] = {0, 1, 5000, 100000, MEGABYTE, 3 * MEGABYTE + 7, 8 * MEGABYTE};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct memory *memory = memory_new(sizes[i], NULL);
        struct memory_stats stats;
        for (unsigned number = 0; number < 20000; number++)
            (void)put(memory, "a", number, 1000);
        memory_stats(memory, &stats);
        assert_true(stats.bytes <= sizes[i]);
        assert_true(stats.count * BODY_SIZE <= stats.bytes);
        if (sizes[i] >= MEGABYTE)
            assert_true(stats.bytes > sizes[i] / 10 * 9);
        memory_free(memory);
    }
}

static void what_is_too_large_is_not_admitted_and_leaves_nothing_old(void **state)
{
    struct memory *memory = memory_new(MEGABYTE, NULL);
    struct memory_stats stats;
    (void)state;
    put_again(memory, 1, NOW, 1, true);
    memory_stats(memory, &stats);
    assert_in_range(stats.largest, MEGABYTE / 9, MEGABYTE / 8);
    struct kept *large = answer(2, stats.largest, NOW + 1, 1000, 2);
    assert_false(memory_put(memory, SPAN_LITERAL("a"), large, NOW));
    kept_unref(large);
    assert_null(memory_get(memory, SPAN_LITERAL("a"), NOW));
    struct kept *fits = answer(3, stats.largest - 500, NOW + 1, 1000, 2);
    assert_true(memory_put(memory, SPAN_LITERAL("a"), fits, NOW));
    kept_unref(fits);
    memory_free(memory);
}

/* A hot set of half the memory, a scan of ten times the memory, nothing asked for in between. */
static void a_scan_does_not_flush_what_is_asked_for(void **state)
{
    struct memory *memory = memory_new(MEGABYTE, NULL);
    const unsigned hot = 400;
    (void)state;
    for (unsigned turn = 0; turn < 4; turn++)
        for (unsigned number = 0; number < hot; number++)
            ask(memory, "hot", number);
    for (unsigned number = 0; number < 8000; number++)
        ask(memory, "scan", number);
    assert_true(kept_of(memory, "hot", hot) >= hot * 95 / 100);
    assert_true(kept_of(memory, "scan", 8000) > 0);
    memory_free(memory);
}

/* A small deterministic generator: the test means the same on each run. */
static unsigned random_below(uint64_t *seed, unsigned bound)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(*seed >> 33) % bound;
}

/* Requests for hot keys among twice as many that come once. */
static void hot_keys_are_found_amid_a_scan(void **state)
{
    struct memory *memory = memory_new(MEGABYTE, NULL);
    uint64_t seed = 1;
    unsigned asked = 0, found = 0, once = 0;
    (void)state;
    for (unsigned i = 0; i < 60000; i++) {
        if (i % 3) {
            ask(memory, "once", once++);
            continue;
        }
        bool hit = ask(memory, "hot", random_below(&seed, 400));
        asked += i > 10000;
        found += i > 10000 && hit;
    }
    assert_true(found > asked * 9 / 10);
    memory_free(memory);
}

/* Who left the small queue and is asked for again soon goes straight to the main one. */
static void a_ghost_comes_back_to_stay(void **state)
{
    struct memory *memory = memory_new(MEGABYTE, NULL);
    unsigned scan = 0;
    (void)state;
    ask(memory, "a", 1);
    for (unsigned guard = 0; guard < 10000; guard++) {
        struct memory_stats before, after;
        memory_stats(memory, &before);
        ask(memory, "scan", scan++);
        memory_stats(memory, &after);
        if (after.count == before.count)
            break;
    }
    assert_false(has(memory, "a", 1));
    ask(memory, "a", 1);
    for (unsigned i = 0; i < 5000; i++)
        ask(memory, "scan", scan++);
    assert_true(has(memory, "a", 1));
    memory_free(memory);
}

/* Answers past their life leave before any that is still good, wherever they stand. */
static void the_dead_leave_first(void **state)
{
    struct memory *memory = memory_new(MEGABYTE, NULL);
    (void)state;
    for (unsigned turn = 0; turn < 3; turn++)
        for (unsigned number = 0; number < 400; number++)
            if (!has(memory, "short", number))
                put(memory, "short", number, 1000);
    for (unsigned number = 0; number < 200; number++)
        put(memory, "long", number, 10 * LATER);
    for (unsigned number = 0; number < 400; number++) {
        struct key key = key_of("later", number);
        struct kept *kept = answer(number, BODY_SIZE, LATER, 1000000, 1);
        assert_true(memory_put(memory, span_of(key.text), kept, LATER));
        kept_unref(kept);
    }
    assert_int_equal(kept_of(memory, "long", 200), 200);
    memory_free(memory);
}

static int64_t counted(struct counters *counters, const char *name)
{
    struct bytes out = BYTES_EMPTY;
    char line[64];
    counters_append_prometheus(counters, &out);
    snprintf(line, sizeof line, "\n%s ", name);
    int64_t number = strtoll(strstr(bytes_text(&out), line) + strlen(line), NULL, 10);
    bytes_free(&out);
    return number;
}

static void what_happens_is_counted(void **state)
{
    struct counters *counters = counters_open_private();
    struct memory *memory = memory_new(MEGABYTE, counters);
    struct memory_stats stats;
    (void)state;
    for (unsigned number = 0; number < 2000; number++)
        put(memory, "a", number, 1000);
    memory_stats(memory, &stats);
    assert_int_equal(counted(counters, "larder_l1_stores_total"), 2000);
    assert_int_equal(counted(counters, "larder_l1_evictions_total"), 2000 - stats.count);
    assert_int_equal(counted(counters, "larder_l1_bytes"), stats.bytes);
    memory_clear(memory);
    memory_stats(memory, &stats);
    assert_int_equal(stats.count + stats.bytes, 0);
    assert_int_equal(counted(counters, "larder_l1_bytes"), 0);
    assert_int_equal(counted(counters, "larder_l1_clears_total"), 1);
    assert_true(put(memory, "a", 1, 1000));
    memory_free(memory);
    assert_int_equal(counted(counters, "larder_l1_bytes"), 0);
    counters_close(counters);
}

#define THREADS 4
#define TURNS 20000

static void torture_turn(struct memory *memory, uint64_t *seed)
{
    unsigned number = random_below(seed, 3000), what = random_below(seed, 1000);
    struct key key = key_of("a", number);
    if (what == 0)
        memory_clear(memory);
    else if (what < 50)
        memory_drop(memory, span_of(key.text));
    else
        ask(memory, "a", number);
}

static void *torture_run(void *argument)
{
    struct memory *memory = argument;
    uint64_t seed = (uint64_t)pthread_self();
    for (unsigned i = 0; i < TURNS; i++)
        torture_turn(memory, &seed);
    return NULL;
}

static void threads_share_it(void **state)
{
    struct counters *counters = counters_open_private();
    struct memory *memory = memory_new(2 * MEGABYTE, counters);
    pthread_t threads[THREADS];
    struct memory_stats stats;
    (void)state;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, torture_run, memory), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    memory_stats(memory, &stats);
    assert_true(stats.bytes <= 2 * MEGABYTE);
    assert_int_equal(counted(counters, "larder_l1_bytes"), stats.bytes);
    memory_free(memory);
    counters_close(counters);
}

UNIT_MAIN(cmocka_unit_test(what_is_put_is_found_under_its_key_alone),
          cmocka_unit_test(an_answer_outlives_its_place_for_who_has_it),
          cmocka_unit_test(a_newer_answer_takes_the_place_of_an_older_not_the_reverse),
          cmocka_unit_test(a_life_that_is_over_ends_here_too),
          cmocka_unit_test(it_is_bounded_with_all_that_belongs_to_it),
          cmocka_unit_test(what_is_too_large_is_not_admitted_and_leaves_nothing_old),
          cmocka_unit_test(a_scan_does_not_flush_what_is_asked_for),
          cmocka_unit_test(hot_keys_are_found_amid_a_scan),
          cmocka_unit_test(a_ghost_comes_back_to_stay), cmocka_unit_test(the_dead_leave_first),
          cmocka_unit_test(what_happens_is_counted), cmocka_unit_test(threads_share_it))
