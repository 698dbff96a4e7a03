#include "unit.h"

#include <stdio.h>

#include "auth/token_cache.h"

#define SECOND INT64_C(1000000)

static struct arena *arena;
static struct token_cache *cache;

static const struct principal somebody = {
    .subject = {.data = "7", .size = 1},
    .role = {.data = "", .size = 0},
    .claims = {.kind = JSON_OBJECT, .text = {.data = "{\"sub\":\"7\",\"exp\":5}", .size = 19}},
    .canonical = {.data = "{\"sub\":\"7\"}", .size = 11},
    .identity = {.data = "0:7", .size = 3},
};

static int begin(void **state)
{
    (void)state;
    arena = arena_new();
    cache = token_cache_new();
    return arena && cache ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    token_cache_free(cache);
    arena_free(arena);
    return 0;
}

static struct token_name name_of(unsigned number, uint64_t generation)
{
    struct token_name name = {.generation = generation};
    char text[16];
    int size = snprintf(text, sizeof text, "%u", number);
    assert_true(digest_sha256((struct span){text, (size_t)size}, name.digest, NULL));
    return name;
}

static bool there(unsigned number, uint64_t generation, int64_t now)
{
    struct token_name name = name_of(number, generation);
    struct principal principal;
    return token_cache_get(cache, &name, now, arena, &principal);
}

static void put(unsigned number, int64_t now, int64_t until)
{
    struct token_name name = name_of(number, 1);
    token_cache_put(cache, &name, now, until, &somebody);
}

static void a_bearer_comes_back_whole(void **state)
{
    struct token_name name = name_of(1, 1);
    struct principal back;
    (void)state;
    put(1, 0, INT64_MAX);
    assert_true(token_cache_get(cache, &name, 0, arena, &back));
    assert_string_equal(back.subject.data, "7");
    assert_string_equal(back.role.data, "");
    assert_true(span_equal(back.claims.text, somebody.claims.text));
    assert_int_equal(back.claims.kind, JSON_OBJECT);
    assert_string_equal(back.canonical.data, "{\"sub\":\"7\"}");
    assert_string_equal(back.identity.data, "0:7");
    assert_false(there(2, 1, 0));
}

static void none_outlives_its_end_or_a_minute(void **state)
{
    (void)state;
    put(1, 100 * SECOND, INT64_MAX);
    put(2, 100 * SECOND, 105 * SECOND);
    put(3, 100 * SECOND, 100 * SECOND);
    assert_true(there(1, 1, 160 * SECOND - 1));
    assert_false(there(1, 1, 160 * SECOND));
    assert_true(there(2, 1, 105 * SECOND - 1));
    assert_false(there(2, 1, 105 * SECOND));
    assert_false(there(3, 1, 100 * SECOND));
}

static void a_clock_set_back_lengthens_nothing(void **state)
{
    (void)state;
    put(1, 100 * SECOND, INT64_MAX);
    assert_false(there(1, 1, 99 * SECOND));
}

static void other_keys_know_nobody(void **state)
{
    (void)state;
    put(1, 0, INT64_MAX);
    assert_false(there(1, 2, 0));
}

/* The newest are there, and what is held stays bounded (a sanitizer would see a leak). */
static void it_is_bounded(void **state)
{
    unsigned held = 0;
    (void)state;
    for (unsigned i = 0; i < 50000; i++) {
        put(i, i, INT64_MAX);
        assert_true(there(i, 1, i));
    }
    for (unsigned i = 0; i < 50000; i++)
        held += there(i, 1, 50000);
    assert_in_range(held, 1024, 4096);
}

static void large_bearers_are_not_kept(void **state)
{
    static char large[TOKEN_CACHE_TEXT_MAX];
    struct token_name name = name_of(1, 1);
    struct principal principal = somebody;
    (void)state;
    memset(large, 'x', sizeof large);
    principal.subject = (struct span){large, sizeof large};
    token_cache_put(cache, &name, 0, INT64_MAX, &principal);
    assert_false(there(1, 1, 0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

UNIT_MAIN(TEST(a_bearer_comes_back_whole), TEST(none_outlives_its_end_or_a_minute),
          TEST(a_clock_set_back_lengthens_nothing), TEST(other_keys_know_nobody),
          TEST(it_is_bounded), TEST(large_bearers_are_not_kept))
