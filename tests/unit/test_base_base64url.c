#include "unit.h"

#include "base/base64url.h"

static struct arena *arena;

static bool reads(const char *text, struct span wanted)
{
    struct span bytes;
    return base64url_read(span_of(text), arena, &bytes, NULL) && span_equal(bytes, wanted);
}

static void every_length_is_read(void **state)
{
    (void)state;
    arena = arena_new();
    assert_true(reads("", SPAN_LITERAL("")));
    assert_true(reads("Zg", SPAN_LITERAL("f")));
    assert_true(reads("Zm8", SPAN_LITERAL("fo")));
    assert_true(reads("Zm9vYmFy", SPAN_LITERAL("foobar")));
    assert_true(reads("___-", SPAN_LITERAL("\xff\xff\xfe")));
    assert_true(reads("AA", SPAN_LITERAL("\0")));
    arena_free(arena);
}

static void only_one_spelling_is_read(void **state)
{
    static const char *const bad[] = {"Z",     "Zg==", "Zg=",  "Zh",    "Zm9",       "Zm9v Ym",
                                      "Zm9\n", "++//", "Zm.v", "Zm9vY", "\xc3\xa4zz"};
    struct span bytes;
    struct error error;
    (void)state;
    arena = arena_new();
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_false(base64url_read(span_of(bad[i]), arena, &bytes, &error));
        assert_int_equal(error.kind, ERROR_INVALID);
    }
    arena_free(arena);
}

UNIT_MAIN(cmocka_unit_test(every_length_is_read), cmocka_unit_test(only_one_spelling_is_read))
