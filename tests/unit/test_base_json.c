#include "unit.h"

#include <stdlib.h>

#include "base/json.h"

struct fixture {
    struct arena *arena;
    struct error error;
};

static struct fixture fixture;

static int arena_make(void **state)
{
    (void)state;
    fixture.arena = arena_new();
    return fixture.arena ? 0 : -1;
}

static int arena_drop(void **state)
{
    (void)state;
    arena_free(fixture.arena);
    return 0;
}

static bool reads(struct span text, struct json *ret_value)
{
    return json_read(text, JSON_DEPTH_MAX, fixture.arena, ret_value, &fixture.error);
}

static struct json value_of(const char *text)
{
    struct json value;
    if (!reads(span_of(text), &value))
        fail_msg("%s: %s", text, fixture.error.text);
    return value;
}

static void takes_json(void **state)
{
    static const char *const texts[] = {
        "null",
        " true ",
        "false",
        "0",
        "-0.5e+10",
        "12E-3",
        "\"\"",
        "\"\xc3\xa9\\u00e9\\ud83d\\ude00\\n\\\"\"",
        "[]",
        "[1,[2],{}]",
        "{\"a\":1,\"b\":{\"a\":[null]},\"c\":[{\"a\":1},{\"a\":2}]}",
        "\t\r\n[ 1 , 2 ]\n",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        value_of(texts[i]);
}

static void refuses_what_is_none(void **state)
{
    static const struct {
        const char *text, *why;
    } texts[] = {
        {"", "a JSON value was expected at byte 1"},
        {"nul", "a JSON value was expected at byte 1"},
        {"nullx", "the value ends before the text does at byte 5"},
        {"01", "the value ends before the text does at byte 2"},
        {"-", "a digit was expected at byte 2"},
        {"1.", "a digit was expected at byte 3"},
        {"1e", "a digit was expected at byte 3"},
        {"+1", "a JSON value was expected at byte 1"},
        {"\"a", "a text is not closed at byte 3"},
        {"\"a\nb\"", "a control character in a text must be escaped at byte 3"},
        {"\"\\x\"", "an unknown escape in a text at byte 3"},
        {"\"\\u12g4\"", "\\u needs four hexadecimal digits at byte 6"},
        {"\"\\u0000\"", "\\u0000 is not allowed at byte 8"},
        {"\"\\ud800\"", "half of a surrogate pair is not allowed at byte 8"},
        {"\"\\ud800\\u0041\"", "half of a surrogate pair is not allowed at byte 14"},
        {"\"\\udc00\"", "half of a surrogate pair is not allowed at byte 8"},
        {"\"\xff\"", "not UTF-8 at byte 2"},
        {"[1,]", "a JSON value was expected at byte 4"},
        {"[1 2]", "',' or ']' was expected at byte 4"},
        {"{\"a\"}", "':' was expected at byte 5"},
        {"{a:1}", "a text in double quotes was expected at byte 2"},
        {"{\"a\":1,}", "a text in double quotes was expected at byte 8"},
        {"{\"a\":1", "',' or '}' was expected at byte 7"},
        {"'a'", "a JSON value was expected at byte 1"},
        {"{\"a\":1,\"b\":2,\"a\":3}", "a name that the object has already at byte 14"},
        {"[{\"ab\":1,\"\\u0061b\":2}]", "a name that the object has already at byte 10"},
        {"{\"\":{\"x\":1,\"x\":1}}", "a name that the object has already at byte 12"},
        {"\"a\\", "an unknown escape in a text at byte 4"},
        {"[\"a\"", "',' or ']' was expected at byte 5"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct json value;
        assert_false(reads(span_of(texts[i].text), &value));
        assert_int_equal(fixture.error.kind, ERROR_INVALID);
        assert_string_equal(fixture.error.text, texts[i].why);
    }
    struct json value;
    assert_false(reads((struct span){.data = "\"\0\"", .size = 3}, &value));
    assert_string_equal(fixture.error.text,
                        "a control character in a text must be escaped at byte 2");
}

static void bounds_the_depth(void **state)
{
    static char text[200000];
    struct json value;
    (void)state;
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    assert_true(reads((struct span){.data = text, .size = 2 * JSON_DEPTH_MAX}, &value));
    memset(text, '[', sizeof text);
    assert_false(reads((struct span){.data = text, .size = sizeof text}, &value));
    assert_string_equal(fixture.error.text, "nested deeper than 64 levels at byte 65");
}

/* A thousand names and more, each object with its own. */
static void finds_a_double_name_among_many(void **state)
{
    struct bytes text = BYTES_EMPTY;
    struct json value;
    (void)state;
    bytes_append_text(&text, "{\"in\":{\"5\":0}");
    for (int i = 0; i < 5000; i++)
        bytes_append_format(&text, ",\"%d\":{\"%d\":%d}", i * 7919 % 5000, i, i);
    bytes_append_text(&text, "}");
    assert_true(reads(bytes_span(&text), &value));
    text.size--;
    bytes_append_text(&text, ",\"4321\":0}");
    assert_false(reads(bytes_span(&text), &value));
    bytes_free(&text);
}

static void knows_kinds_and_texts(void **state)
{
    static const struct {
        const char *text, *value;
        enum json_kind kind;
    } rows[] = {
        {" null ", "null", JSON_NULL},
        {"true", "true", JSON_BOOLEAN},
        {"false\n", "false", JSON_BOOLEAN},
        {" -12345678901234567890.00e+1 ", "-12345678901234567890.00e+1", JSON_NUMBER},
        {"\t\"a b\"", "\"a b\"", JSON_STRING},
        {"[ 1 ]", "[ 1 ]", JSON_ARRAY},
        {" { }", "{ }", JSON_OBJECT},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct json value = value_of(rows[i].text);
        assert_int_equal(value.kind, rows[i].kind);
        assert_true(span_is(value.text, rows[i].value));
    }
}

/* The items of an array or object between bars, names before '='. */
static void assert_items(const char *text, const char *expected)
{
    struct json nest = value_of(text), name, item;
    struct json_place place = {0};
    struct bytes items = BYTES_EMPTY;
    while (json_next_element(&nest, &place, &item))
        bytes_append_format(&items, "%.*s|", SPAN_PRINTF(item.text));
    while (json_next_member(&nest, &place, &name, &item))
        bytes_append_format(&items, "%.*s=%.*s|", SPAN_PRINTF(name.text), SPAN_PRINTF(item.text));
    assert_string_equal(bytes_text(&items), expected);
    bytes_free(&items);
}

static void walks(void **state)
{
    (void)state;
    assert_items("[]", "");
    assert_items("[ ]", "");
    assert_items("{ }", "");
    assert_items("7", "");
    assert_items("[1, \"a,]\\\"\" ,[2,[3]],{\"x\":[4]},null]",
                 "1|\"a,]\\\"\"|[2,[3]]|{\"x\":[4]}|null|");
    assert_items("{\"a\" : 1 ,\"b}\":{\"c\":\"}\"}, \"d\":[ ]}",
                 "\"a\"=1|\"b}\"={\"c\":\"}\"}|\"d\"=[ ]|");
}

static void finds_a_member(void **state)
{
    struct json object = value_of("{\"a\":{\"b\":1},\"\\u0062\":2,\"\":3}"), value;
    (void)state;
    assert_true(json_member(&object, SPAN_LITERAL("b"), &value));
    assert_true(span_is(value.text, "2"));
    assert_true(json_member(&object, SPAN_LITERAL(""), &value));
    assert_true(span_is(value.text, "3"));
    assert_false(json_member(&object, SPAN_LITERAL("c"), &value));
    assert_false(json_member(&value, SPAN_LITERAL("a"), &value));
}

static void unescapes(void **state)
{
    struct json string =
        value_of("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\xc3\xa9\"");
    const char *plain = "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa9";
    struct span text;
    (void)state;
    assert_true(json_string(&string, fixture.arena, &text));
    assert_string_equal(text.data, plain);
    assert_int_equal(text.size, strlen(plain));
    assert_true(json_string_is(&string, text));
    assert_false(json_string_is(&string, span_first(text, text.size - 1)));
    assert_false(json_string_is(&string, SPAN_LITERAL("")));
}

static void orders_by_bytes(void **state)
{
    static const char *const sorted[] = {"\"\"",        "\"\\n\"",           "\"A\"",
                                         "\"a\"",       "\"a b\"",           "\"\xc3\xa9\"",
                                         "\"\\uff5e\"", "\"\\ud83d\\ude00\""};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(sorted); i++)
        for (size_t j = 0; j < ARRAY_COUNT(sorted); j++) {
            struct json a = {.kind = JSON_STRING, .text = span_of(sorted[i])};
            struct json b = {.kind = JSON_STRING, .text = span_of(sorted[j])};
            int order = json_string_compare(&a, &b);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
}

static void writes_canonically(void **state)
{
    struct json value = value_of(" { \"b\" : [ 1 , 1.50, { } ] , \"\\u0061\" : "
                                 "{\"z\":null, \"\\u00e9\":\"\\/\\u0001\", \"y\" : true} }");
    struct bytes out = BYTES_EMPTY;
    (void)state;
    json_write_canonical(&value, &out);
    assert_string_equal(bytes_text(&out), "{\"a\":{\"y\":true,\"z\":null,\"\xc3\xa9\":"
                                          "\"/\\u0001\"},\"b\":[1,1.50,{}]}");
    bytes_clear(&out);
    json_write_string(SPAN_LITERAL("a\"\n"), &out);
    assert_string_equal(bytes_text(&out), "\"a\\\"\\n\"");
    bytes_free(&out);
}

#define JSON_TEST(test) cmocka_unit_test_setup_teardown(test, arena_make, arena_drop)

UNIT_MAIN(JSON_TEST(takes_json), JSON_TEST(refuses_what_is_none), JSON_TEST(bounds_the_depth),
          JSON_TEST(finds_a_double_name_among_many), JSON_TEST(knows_kinds_and_texts),
          JSON_TEST(walks), JSON_TEST(finds_a_member), JSON_TEST(unescapes),
          JSON_TEST(orders_by_bytes), JSON_TEST(writes_canonically))
