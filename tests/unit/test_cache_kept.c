#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "cache/clocks.h"
#include "cache/kept.h"

static struct entry_meta sample(void)
{
    struct entry_meta meta = {.status = 200,
                              .created = 1000,
                              .ttl = 300,
                              .stale = 20,
                              .error = 50,
                              .cost = 7,
                              .clock = 42,
                              .tag = "0123456789abcdefghijkl",
                              .sizes = {5, 3, 2},
                              .variants = 7,
                              .type = SPAN_LITERAL("application/json"),
                              .tags = {SPAN_LITERAL("*"), SPAN_LITERAL("public.feeds(id)")},
                              .tag_count = 2};
    return meta;
}

static void what_was_given_comes_back_from_memory_of_its_own(void **state)
{
    struct entry_meta meta = sample(), copy;
    char body[] = "hello", type[] = "text/plain", next[] = "AgAA";
    (void)state;
    meta.type = (struct span){type, sizeof type - 1};
    meta.next = (struct span){next, sizeof next - 1};
    meta.previous = SPAN_LITERAL("AwAA");
    struct kept *kept = kept_new(&meta, (struct span[CODING_COUNT]){{body, 5}});
    assert_non_null(kept);
    memset(body, 'x', sizeof body);
    memset(type, 'x', sizeof type);
    memset(next, 'x', sizeof next);
    kept_meta(kept, &copy);
    assert_int_equal(copy.status, 200);
    assert_int_equal(copy.created, 1000);
    assert_int_equal(copy.ttl, 300);
    assert_int_equal(copy.stale, 20);
    assert_int_equal(copy.error, 50);
    assert_int_equal(copy.cost, 7);
    assert_int_equal(copy.clock, 42);
    assert_int_equal(copy.variants, 7);
    assert_int_equal(copy.sizes[1], 3);
    assert_string_equal(copy.tag, "0123456789abcdefghijkl");
    assert_true(span_is(copy.type, "text/plain"));
    assert_true(span_is(copy.next, "AgAA") && span_is(copy.previous, "AwAA"));
    assert_int_equal(copy.tag_count, 2);
    assert_true(span_is(copy.tags[1], "public.feeds(id)"));
    assert_true(span_is(kept_body(kept, CODING_IDENTITY), "hello"));
    assert_null(kept_body(kept, CODING_GZIP).data);
    assert_int_equal(kept_held(kept), CODING_BIT(CODING_IDENTITY));
    kept_unref(kept);
}

static void its_tags_are_hashed_as_the_clocks_do(void **state)
{
    struct entry_meta meta = sample();
    struct kept *kept = kept_new(&meta, (struct span[CODING_COUNT]){{"hello", 5}});
    size_t count;
    (void)state;
    const uint64_t *hashes = kept_hashes(kept, &count);
    assert_int_equal(count, 2);
    assert_true(hashes[0] == clocks_hash(SPAN_LITERAL("*")));
    assert_true(hashes[1] == clocks_hash(SPAN_LITERAL("public.feeds(id)")));
    assert_int_equal(kept_clock(kept), 42);
    kept_unref(kept);
}

static void its_life_ends_with_the_longer_stale_window(void **state)
{
    struct entry_meta meta = sample();
    struct kept *kept = kept_new(&meta, (struct span[CODING_COUNT]){{"hello", 5}});
    (void)state;
    assert_int_equal(kept_created(kept), 1000);
    assert_int_equal(kept_end(kept), 1350);
    kept_unref(kept);
}

static void an_empty_body_is_held_too(void **state)
{
    struct entry_meta meta = {.status = 204, .variants = 1};
    struct kept *kept = kept_new(&meta, (struct span[CODING_COUNT]){{"", 0}});
    (void)state;
    assert_int_equal(kept_held(kept), 1);
    assert_non_null(kept_body(kept, CODING_IDENTITY).data);
    kept_unref(kept);
}

static void the_size_counts_every_part(void **state)
{
    struct entry_meta meta = sample();
    char *large = calloc(1, 100000);
    struct kept *none = kept_new(&meta, (struct span[CODING_COUNT]){{0}});
    struct kept *two = kept_new(&meta, (struct span[CODING_COUNT]){{large, 100000}, {large, 1000}});
    (void)state;
    assert_int_equal(kept_size(two) - kept_size(none), 101000);
    kept_unref(none);
    kept_unref(two);
    free(large);
}

static void two_parts_of_one_answer_become_a_whole(void **state)
{
    struct entry_meta meta = sample();
    struct kept *older = kept_new(&meta, (struct span[CODING_COUNT]){{"hello", 5}, {"old", 3}});
    meta.created = 2000;
    meta.clock++;
    struct kept *newer = kept_new(&meta, (struct span[CODING_COUNT]){{0}, {"new", 3}, {"br", 2}});
    struct kept *whole = kept_merge(newer, older);
    (void)state;
    assert_non_null(whole);
    kept_unref(older);
    kept_unref(newer);
    assert_int_equal(kept_held(whole), 7);
    assert_true(span_is(kept_body(whole, CODING_IDENTITY), "hello"));
    assert_true(span_is(kept_body(whole, CODING_GZIP), "new"));
    assert_true(span_is(kept_body(whole, CODING_BROTLI), "br"));
    assert_int_equal(kept_created(whole), 2000);
    kept_unref(whole);
}

static void different_answers_are_not_merged(void **state)
{
    struct entry_meta meta = sample(), tag = sample(), size = sample();
    const struct span bodies[CODING_COUNT] = {{"hello", 5}};
    (void)state;
    tag.tag[21] = '-';
    size.sizes[CODING_GZIP]++;
    struct kept *kept = kept_new(&meta, bodies);
    struct kept *others[] = {kept_new(&tag, bodies), kept_new(&size, bodies)};
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        assert_null(kept_merge(kept, others[i]));
        kept_unref(others[i]);
    }
    kept_unref(kept);
}

static void references_keep_it(void **state)
{
    struct entry_meta meta = sample();
    struct kept *kept = kept_new(&meta, (struct span[CODING_COUNT]){{"hello", 5}});
    (void)state;
    assert_ptr_equal(kept_ref(kept), kept);
    kept_unref(kept);
    assert_true(span_is(kept_body(kept, CODING_IDENTITY), "hello"));
    kept_unref(kept);
    kept_unref(NULL);
}

UNIT_MAIN(cmocka_unit_test(what_was_given_comes_back_from_memory_of_its_own),
          cmocka_unit_test(its_tags_are_hashed_as_the_clocks_do),
          cmocka_unit_test(its_life_ends_with_the_longer_stale_window),
          cmocka_unit_test(an_empty_body_is_held_too), cmocka_unit_test(the_size_counts_every_part),
          cmocka_unit_test(two_parts_of_one_answer_become_a_whole),
          cmocka_unit_test(different_answers_are_not_merged), cmocka_unit_test(references_keep_it))
