#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdalign.h>

#include "base/arena.h"

static int arena_make(void **state)
{
    *state = arena_new();
    return *state ? 0 : -1;
}

static int arena_drop(void **state)
{
    arena_free(*state);
    return 0;
}

static void hands_out_aligned_zeros_that_stay(void **state)
{
    enum { COUNT = 2000 };
    unsigned char *memory[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        size_t size = i * 7 % 300 + 1;
        memory[i] = arena_alloc(*state, size);
        assert_non_null(memory[i]);
        assert_int_equal((uintptr_t)memory[i] % alignof(max_align_t), 0);
        for (size_t at = 0; at < size; at++)
            assert_int_equal(memory[i][at], 0);
        memset(memory[i], (int)(i % 255) + 1, size);
    }
    for (size_t i = 0; i < COUNT; i++)
        for (size_t at = 0; at < i * 7 % 300 + 1; at++)
            assert_int_equal(memory[i][at], i % 255 + 1);
}

static void gives_zeros_again_after_a_reset(void **state)
{
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 50 - round * 10; i++) {
            unsigned char *memory = arena_alloc(*state, 1000);
            assert_non_null(memory);
            for (size_t at = 0; at < 1000; at++)
                assert_int_equal(memory[at], 0);
            memset(memory, 0xaa, 1000);
        }
        arena_reset(*state);
    }
}

static void hands_out_more_than_a_block(void **state)
{
    char *small = arena_alloc(*state, 10);
    char *large = arena_alloc(*state, 1 << 20);
    char *after = arena_alloc(*state, 10);
    assert_non_null(small);
    assert_non_null(large);
    assert_non_null(after);
    memset(large, 'x', 1 << 20);
    assert_int_equal(small[9] | after[0], 0);
    arena_reset(*state);
    large = arena_alloc(*state, ARENA_KEEP * 2);
    assert_non_null(large);
    assert_int_equal(large[0] | large[ARENA_KEEP * 2 - 1], 0);
}

static void a_size_of_zero_is_a_valid_pointer(void **state)
{
    assert_non_null(arena_alloc(*state, 0));
    assert_non_null(arena_array(*state, 0, 8));
    assert_non_null(arena_array(*state, 8, 0));
}

static void refuses_what_no_memory_can_hold(void **state)
{
    assert_null(arena_array(*state, SIZE_MAX / 2, 3));
    assert_null(arena_array(*state, SIZE_MAX, SIZE_MAX));
    assert_null(arena_alloc(*state, SIZE_MAX));
    assert_null(arena_alloc(*state, SIZE_MAX - 16));
    assert_non_null(arena_alloc(*state, 1));
}

static void copies_texts(void **state)
{
    char source[] = "hello";
    char *text = arena_text(*state, (struct span){source, 4});
    struct span span = arena_span(*state, SPAN_LITERAL("a\0b"));
    source[0] = 'x';
    assert_string_equal(text, "hell");
    assert_int_equal(span.size, 3);
    assert_memory_equal(span.data, "a\0b", 4);
    assert_string_equal(arena_text(*state, (struct span){0}), "");
    span = arena_span(*state, (struct span){0});
    assert_non_null(span.data);
    assert_int_equal(span.size, 0);
}

static void formats_texts(void **state)
{
    assert_string_equal(arena_format(*state, "%s-%d", "a", 7), "a-7");
    assert_string_equal(arena_format(*state, "%s", ""), "");
    char *wide = arena_format(*state, "%*d", 20000, 1);
    assert_non_null(wide);
    assert_int_equal(strlen(wide), 20000);
}

static void frees_nothing_without_complaint(void **state)
{
    (void)state;
    arena_free(NULL);
    struct arena *unused = arena_new();
    assert_non_null(unused);
    arena_reset(unused);
    arena_free(unused);
}

#define WITH_ARENA(test) cmocka_unit_test_setup_teardown(test, arena_make, arena_drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ARENA(hands_out_aligned_zeros_that_stay),
        WITH_ARENA(gives_zeros_again_after_a_reset),
        WITH_ARENA(hands_out_more_than_a_block),
        WITH_ARENA(a_size_of_zero_is_a_valid_pointer),
        WITH_ARENA(refuses_what_no_memory_can_hold),
        WITH_ARENA(copies_texts),
        WITH_ARENA(formats_texts),
        cmocka_unit_test(frees_nothing_without_complaint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
