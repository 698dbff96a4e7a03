#include "unit.h"

#include "queue/record.h"

struct fixture {
    struct arena *arena;
    struct route *route;
};

static struct fixture fixture_of(const char *text)
{
    struct fixture fixture = {.arena = arena_new()};
    struct fault_list faults = {.arena = fixture.arena};
    fixture.route = route_parse("file.sql", span_of(text), fixture.arena, &faults);
    if (!fixture.route)
        fail_msg("%s", faults.count ? faults.faults[0].text : "no route");
    fault_list_free(&faults);
    return fixture;
}

static void fixture_free(struct fixture *fixture)
{
    route_release(fixture->route);
    arena_free(fixture->arena);
}

static struct value text_value(const char *text)
{
    return (struct value){.state = VALUE_TEXT, .text = span_of(text)};
}

static void comes_back_as_it_was(void **state)
{
    struct fixture f = fixture_of("-- @http POST /a/{id}\n-- @param d default=null\n"
                                  "SELECT :id, :b, :c, :d, :auth.sub");
    struct bytes text = BYTES_EMPTY;
    (void)state;
    assert_int_equal(f.route->param_count, 5); /* id, d, b, c, auth.sub */
    const struct value values[] = {text_value("17"),
                                   {.state = VALUE_NULL},
                                   text_value("a \"b\"\\\n\x01 \xc3\xa9"),
                                   {.state = VALUE_ABSENT},
                                   text_value("")};
    const struct queue_record record = {
        .values = values, .role = "web", .claims = "{\"role\":\"web\"}"};
    struct queue_record back;
    struct error error;
    queue_record_write(f.route, &record, &text);
    if (!queue_record_read(bytes_span(&text), f.route, f.arena, &back, &error))
        fail_msg("%s: %s", bytes_text(&text), error.text);
    for (size_t i = 0; i < f.route->param_count; i++) {
        assert_int_equal(back.values[i].state, values[i].state);
        assert_true(span_equal(back.values[i].text, values[i].text));
    }
    assert_string_equal(back.role, "web");
    assert_string_equal(back.claims, "{\"role\":\"web\"}");
    bytes_free(&text);
    fixture_free(&f);
}

static void nobody_has_no_role(void **state)
{
    struct fixture f = fixture_of("-- @http POST /a\nSELECT 1");
    struct bytes text = BYTES_EMPTY;
    struct queue_record back, record = {0};
    (void)state;
    queue_record_write(f.route, &record, &text);
    assert_string_equal(bytes_text(&text), "{\"values\":{}}");
    assert_true(queue_record_read(bytes_span(&text), f.route, f.arena, &back, NULL));
    assert_null(back.role);
    assert_null(back.claims);
    bytes_free(&text);
    fixture_free(&f);
}

static void tells_what_does_not_fit(void **state)
{
    static const struct {
        const char *text, *told;
    } cases[] = {
        {"", "empty"},
        {"[]", "it has no values"},
        {"{\"values\":[]}", "it has no values"},
        {"{\"values\":{\"id\":1}}", "a value is neither text nor null"},
        {"{\"values\":{\"id\":\"1\",\"gone\":\"2\"}}", "the route has no parameter \"gone\" now"},
        {"{\"values\":{}}", "the route needs id now, which has no value"},
        {"{\"values\":{\"id\":\"1\"},\"role\":1}", "its role is no text"},
        {"{\"values\":{\"id\":\"1\"},\"claims\":{}}", "its claims is no text"},
    };
    struct fixture f = fixture_of("-- @http POST /a/{id}\nSELECT :id");
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct queue_record record;
        struct error error = {0};
        if (queue_record_read(span_of(cases[i].text), f.route, f.arena, &record, &error))
            fail_msg("%s was read", cases[i].text);
        if (i && !strstr(error.text, cases[i].told))
            fail_msg("%s: %s", cases[i].text, error.text);
    }
    fixture_free(&f);
}

UNIT_MAIN(cmocka_unit_test(comes_back_as_it_was), cmocka_unit_test(nobody_has_no_role),
          cmocka_unit_test(tells_what_does_not_fit))
