/* Texts with {name} places. */
#include "route/template.h"
#include "unit.h"

static void takes_a_text_apart(void **state)
{
    struct span rest = span_of("user:{id}/{auth.sub}{x}end"), literal, name;
    static const char *const parts[][2] = {
        {"user:", "id"}, {"/", "auth.sub"}, {"", "x"}, {"end", ""}};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        assert_true(template_next(&rest, &literal, &name));
        assert_true(span_is(literal, parts[i][0]));
        assert_true(span_is(name, parts[i][1]));
        assert_int_equal(name.data != NULL, i < 3);
    }
    assert_false(template_next(&rest, &literal, &name));
}

static void ends_with_a_place(void **state)
{
    struct span rest = span_of("{id}"), literal, name;
    (void)state;
    assert_true(template_next(&rest, &literal, &name));
    assert_int_equal(literal.size, 0);
    assert_true(span_is(name, "id"));
    assert_false(template_next(&rest, &literal, &name));
}

static const struct escape_case {
    const char *value, *written;
} escapes[] = {
    {"plain-Key_1.2~", "plain-Key_1.2~"},         {"a:b/c", "a%3Ab%2Fc"}, {"100%", "100%25"},
    {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"}, {" \n", "%20%0A"},      {"", ""},
};

static void escapes_what_could_separate(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(escapes); i++) {
        struct bytes out = BYTES_EMPTY;
        template_write_escaped(span_of(escapes[i].value), &out);
        assert_string_equal(bytes_text(&out), escapes[i].written);
        assert_false(template_separates(bytes_span(&out)));
        bytes_free(&out);
    }
}

static void knows_a_separator(void **state)
{
    (void)state;
    assert_true(template_separates(span_of("a:b")));
    assert_true(template_separates(span_of("/")));
    assert_false(template_separates(span_of("note-1")));
    assert_false(template_separates(span_of("%")));
    assert_false(template_separates((struct span){0}));
}

UNIT_MAIN(cmocka_unit_test(takes_a_text_apart), cmocka_unit_test(ends_with_a_place),
          cmocka_unit_test(escapes_what_could_separate), cmocka_unit_test(knows_a_separator))
