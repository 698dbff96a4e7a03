#include "unit.h"

#include <string.h>

#include "serve/cursor.h"

static const struct cache_version first = {.hex = "0123456789abcdef", .number = 1};
static const struct cache_version second = {.hex = "0123456789abcdee", .number = 2};

/* What every test has at hand. */
struct setting {
    struct arena *arena;
    struct digest_key *key;
    struct cursor_owner owner;
};

static int setting_make(void **state)
{
    static struct setting setting;
    setting = (struct setting){.arena = arena_new(), .key = digest_key_new(SPAN_LITERAL("secret"))};
    setting.owner = (struct cursor_owner){setting.key, "GET /a", &first};
    *state = &setting;
    return 0;
}

static int setting_end(void **state)
{
    struct setting *setting = *state;
    digest_key_free(setting->key);
    arena_free(setting->arena);
    return 0;
}

static struct span written(struct setting *setting, bool before, const char *key)
{
    struct span text;
    assert_true(cursor_write(&setting->owner, before, span_of(key), setting->arena, &text));
    return text;
}

static void what_is_written_is_read(void **state)
{
    struct setting *setting = *state;
    struct cursor cursor;
    const char *problem;
    for (int before = 0; before < 2; before++) {
        struct span text = written(setting, before, "[\"2026-01-01\", null, \"\\u00fc\\\"\"]");
        assert_true(cursor_check(&setting->owner, 3, text, setting->arena, &problem));
        assert_true(cursor_read(text, 3, setting->arena, &cursor));
        assert_int_equal(cursor.before, before);
        assert_string_equal(cursor.texts[0], "2026-01-01");
        assert_null(cursor.texts[1]);
        assert_string_equal(cursor.texts[2], "ü\"");
        assert_false(cursor_read(text, 2, setting->arena, &cursor));
        assert_false(cursor_read(text, 4, setting->arena, &cursor));
    }
}

static void nothing_that_was_changed_passes(void **state)
{
    static const char letters[] = "ABCabc019-_=+/ ";
    struct setting *setting = *state;
    struct span text = written(setting, false, "[\"a\", \"b\"]");
    const char *problem;
    for (size_t at = 0; at < text.size; at++) {
        for (size_t i = 0; i < sizeof letters; i++) {
            char *changed = arena_text(setting->arena, text);
            changed[at] = letters[i];
            if (changed[at] == text.data[at])
                continue;
            struct span other = {changed, text.size};
            assert_false(cursor_check(&setting->owner, 2, other, setting->arena, &problem));
            assert_non_null(strstr(problem, "whole and unchanged"));
        }
        assert_false(
            cursor_check(&setting->owner, 2, span_first(text, at), setting->arena, &problem));
    }
}

static void another_key_refuses_it(void **state)
{
    struct setting *setting = *state;
    struct span text = written(setting, false, "[\"a\"]");
    struct digest_key *other = digest_key_new(SPAN_LITERAL("another"));
    const struct cursor_owner owner = {other, "GET /a", &first};
    const char *problem;
    assert_false(cursor_check(&owner, 1, text, setting->arena, &problem));
    assert_non_null(strstr(problem, "whole and unchanged"));
    digest_key_free(other);
}

static void another_route_and_another_version_are_told_apart(void **state)
{
    struct setting *setting = *state;
    struct span text = written(setting, false, "[\"a\"]");
    const struct cursor_owner route = {setting->key, "GET /b", &first};
    const struct cursor_owner version = {setting->key, "GET /a", &second};
    const char *problem;
    assert_false(cursor_check(&route, 1, text, setting->arena, &problem));
    assert_non_null(strstr(problem, "another's"));
    assert_false(cursor_check(&version, 1, text, setting->arena, &problem));
    assert_non_null(strstr(problem, "earlier"));
}

static void a_key_that_is_none_is_no_cursor(void **state)
{
    static const char *const keys[] = {"[\"a\"]", "[\"a\",\"b\",\"c\"]", "[\"a\",1]", "{}",
                                       "[\"a\",\"b\"]x"};
    struct setting *setting = *state;
    const char *problem;
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        struct span text = written(setting, false, keys[i]);
        assert_false(cursor_check(&setting->owner, 2, text, setting->arena, &problem));
        assert_non_null(strstr(problem, "that an answer's Link gave"));
    }
}

UNIT_MAIN(cmocka_unit_test_setup_teardown(what_is_written_is_read, setting_make, setting_end),
          cmocka_unit_test_setup_teardown(nothing_that_was_changed_passes, setting_make,
                                          setting_end),
          cmocka_unit_test_setup_teardown(another_key_refuses_it, setting_make, setting_end),
          cmocka_unit_test_setup_teardown(another_route_and_another_version_are_told_apart,
                                          setting_make, setting_end),
          cmocka_unit_test_setup_teardown(a_key_that_is_none_is_no_cursor, setting_make,
                                          setting_end))
