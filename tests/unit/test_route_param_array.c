#include "unit.h"

#include "route/param.h"

static const struct {
    enum param_type type;
    const char *given;
    const char *text; /* null: refused */
} literals[] = {
    {TYPE_INTEGER, "{}", "{}"},
    {TYPE_INTEGER, "{ }", "{}"},
    {TYPE_INTEGER, "7", "{7}"},
    {TYPE_INTEGER, "{01, +2 ,3}", "{1,2,3}"},
    {TYPE_INTEGER, "{1,NULL,null}", "{1,NULL,NULL}"},
    {TYPE_INTEGER, "{\"1\",2}", "{1,2}"},
    {TYPE_INTEGER, "1,2", NULL},
    {TYPE_INTEGER, "", NULL},
    {TYPE_INTEGER, "{1,}", NULL},
    {TYPE_INTEGER, "{,1}", NULL},
    {TYPE_INTEGER, "{1,a}", NULL},
    {TYPE_INTEGER, "{{1},{2}}", NULL},
    {TYPE_INTEGER, "{1", NULL},
    {TYPE_TEXT, "", "{\"\"}"},
    {TYPE_TEXT, "a,b", "{\"a,b\"}"},
    {TYPE_TEXT, "{a b,\"c,d\",\"e\\\"f\",g\\\\h}", "{\"a b\",\"c,d\",\"e\\\"f\",\"g\\\\h\"}"},
    {TYPE_TEXT, "{\"NULL\",\"\"}", "{\"NULL\",\"\"}"},
    {TYPE_TEXT, "{\"a\"b}", NULL},
    {TYPE_TEXT, "{a\"b}", NULL},
    {TYPE_TEXT, "{\"a}", NULL},
    {TYPE_TEXT, "{a\\}", NULL},
    {TYPE_TEXT, "{\xff}", NULL},
    {TYPE_BOOLEAN, "{T,off}", "{true,false}"},
    {TYPE_TIMESTAMP, "{2024-01-02 03:04}", "{2024-01-02T03:04:00}"},
    {TYPE_JSON, "{\"{\\\"a\\\":1}\"}", "{\"{\\\"a\\\":1}\"}"},
};

static void reads_literals(void **state)
{
    struct arena *arena = arena_new();
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(literals); i++) {
        struct param param = {.name = "x", .type = literals[i].type, .array = true, .maxlen = -1};
        struct value value;
        const char *problem = NULL;
        bool read = param_read(&param, param.type, true, span_of(literals[i].given), arena, &value,
                               &problem);
        if (read != !!literals[i].text)
            fail_msg("%s: %s", literals[i].given, read ? value.text.data : problem);
        if (read)
            assert_string_equal(value.text.data, literals[i].text);
        else
            assert_non_null(problem);
    }
    arena_free(arena);
}

static void reads_repeated_values(void **state)
{
    const struct span given[] = {SPAN_LITERAL("{1}"), SPAN_LITERAL("b"), SPAN_LITERAL("")};
    struct param param = {.name = "x", .type = TYPE_TEXT, .array = true, .maxlen = -1};
    struct arena *arena = arena_new();
    struct value value;
    const char *problem;
    (void)state;
    assert_true(param_read_array(&param, TYPE_TEXT, given, 3, arena, &value, &problem));
    assert_string_equal(value.text.data, "{\"{1}\",b,\"\"}");
    assert_true(param_read_array(&param, TYPE_TEXT, given, 1, arena, &value, &problem));
    assert_string_equal(value.text.data, "{1}");
    param.maxlen = 1;
    assert_false(param_read_array(&param, TYPE_TEXT, given, 3, arena, &value, &problem));
    assert_string_equal(problem, "must be at most 1 characters long, not 3");
    arena_free(arena);
}

static void reads_json_arrays(void **state)
{
    static const struct {
        enum param_type type;
        const char *given, *text; /* text null: refused */
    } arrays[] = {
        {TYPE_INTEGER, "[]", "{}"},
        {TYPE_INTEGER, "[1, -2,null]", "{1,-2,NULL}"},
        {TYPE_INTEGER, "[1,\"2\"]", NULL},
        {TYPE_INTEGER, "[[1]]", NULL},
        {TYPE_INTEGER, "1", NULL},
        {TYPE_TEXT, "[\"{1}\",\"NULL\",\"\",\"a\\\"b\"]", "{\"{1}\",\"NULL\",\"\",\"a\\\"b\"}"},
        {TYPE_TEXT, "\"{a}\"", NULL},
        {TYPE_JSONB, "[{\"a\":1},\"x\",2]", "{\"{\\\"a\\\":1}\",\"\\\"x\\\"\",2}"},
    };
    struct arena *arena = arena_new();
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(arrays); i++) {
        struct param param = {.name = "x", .type = arrays[i].type, .array = true, .maxlen = -1};
        struct json given = json_of(span_of(arrays[i].given));
        struct value value;
        const char *problem = NULL;
        bool read = param_read_json(&param, param.type, &given, arena, &value, &problem);
        assert_int_equal(read, arrays[i].text != NULL);
        if (read)
            assert_string_equal(value.text.data, arrays[i].text);
        else
            assert_non_null(problem);
    }
    arena_free(arena);
}

UNIT_MAIN(cmocka_unit_test(reads_json_arrays), cmocka_unit_test(reads_literals),
          cmocka_unit_test(reads_repeated_values))
