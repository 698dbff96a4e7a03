#include "unit.h"

#include "auth/claims.h"

#define SECOND INT64_C(1000000)

static struct arena *arena;
static const struct claims_rules open_rules = {
    .audience = "", .issuer = "", .role = "role", .leeway = 30 * SECOND};

static int begin(void **state)
{
    (void)state;
    arena = arena_new();
    return arena ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static struct json claims_of(const char *text)
{
    struct json claims;
    if (!json_read(span_of(text), JSON_DEPTH_MAX, arena, &claims, NULL))
        fail_msg("%s is no JSON", text);
    return claims;
}

/* µs: what is refused, and the edges of what is not. */
static const struct date_row {
    const char *claims;
    int64_t now;
    const char *problem; /* null: it counts */
} date_rows[] = {
    {"{}", 0, NULL},
    {"{\"exp\":1000}", 999 * SECOND, NULL},
    {"{\"exp\":1000}", 1000 * SECOND, NULL},
    {"{\"exp\":1000}", 1030 * SECOND - 1, NULL},
    {"{\"exp\":1000}", 1030 * SECOND, "expired"},
    {"{\"exp\":1000.5}", 1030 * SECOND, NULL},
    {"{\"exp\":1000.5}", 1030 * SECOND + SECOND / 2, "expired"},
    {"{\"exp\":1e3}", 1030 * SECOND, "expired"},
    {"{\"exp\":1e300}", INT64_MAX - 1, NULL},
    {"{\"exp\":-1}", 1000 * SECOND, "expired"},
    {"{\"exp\":\"1000\"}", 0, "exp that is no date"},
    {"{\"exp\":null}", 0, "exp that is no date"},
    {"{\"\\u0065xp\":1000}", 2000 * SECOND, "expired"},
    {"{\"nbf\":1000}", 970 * SECOND, NULL},
    {"{\"nbf\":1000}", 970 * SECOND - 1, "not valid yet"},
    {"{\"nbf\":1e300}", 1000 * SECOND, "not valid yet"},
    {"{\"nbf\":true}", 1000 * SECOND, "nbf that is no date"},
    {"{\"iat\":1000}", 970 * SECOND, NULL},
    {"{\"iat\":1000}", 969 * SECOND, "made in the future"},
    {"{\"iat\":{}}", 969 * SECOND, "iat that is no date"},
};

static void dates_count_with_the_leeway(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(date_rows); i++) {
        struct json claims = claims_of(date_rows[i].claims);
        struct error error = {0};
        int64_t until = 0;
        bool good = claims_check(&claims, &open_rules, date_rows[i].now, &until, &error);
        if (good != !date_rows[i].problem || (!good && !strstr(error.text, date_rows[i].problem)))
            fail_msg("%s at %lld: \"%s\"", date_rows[i].claims, (long long)date_rows[i].now,
                     error.text);
    }
}

static void the_end_is_told_without_the_leeway(void **state)
{
    struct json claims = claims_of("{\"exp\":1000}"), endless = claims_of("{}");
    int64_t until;
    (void)state;
    assert_true(claims_check(&claims, &open_rules, 1010 * SECOND, &until, NULL));
    assert_int_equal(until, 1000 * SECOND);
    assert_true(claims_check(&endless, &open_rules, 1010 * SECOND, &until, NULL));
    assert_int_equal(until, INT64_MAX);
}

static const struct for_row {
    const char *claims, *audience, *issuer;
    bool good;
} for_rows[] = {
    {"{}", "", "", true},
    {"{\"aud\":\"other\",\"iss\":\"other\"}", "", "", true},
    {"{\"aud\":\"api\"}", "api", "", true},
    {"{\"aud\":[\"web\",\"api\"]}", "api", "", true},
    {"{\"aud\":[\"web\",1,null]}", "api", "", false},
    {"{\"aud\":[]}", "api", "", false},
    {"{\"aud\":\"api2\"}", "api", "", false},
    {"{\"aud\":{\"api\":1}}", "api", "", false},
    {"{}", "api", "", false},
    {"{\"iss\":\"me\"}", "", "me", true},
    {"{\"iss\":[\"me\"]}", "", "me", false},
    {"{\"iss\":\"me \"}", "", "me", false},
    {"{}", "", "me", false},
};

static void audience_and_issuer_are_held_to(void **state)
{
    int64_t until;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(for_rows); i++) {
        struct json claims = claims_of(for_rows[i].claims);
        const struct claims_rules rules = {
            .audience = for_rows[i].audience, .issuer = for_rows[i].issuer, .role = "role"};
        if (claims_check(&claims, &rules, 0, &until, NULL) != for_rows[i].good)
            fail_msg("%s for \"%s\" by \"%s\"", for_rows[i].claims, rules.audience, rules.issuer);
    }
}

static const struct text_row {
    const char *claims, *path, *text; /* null: there is none */
} text_rows[] = {
    {"{\"sub\":\"7\"}", "sub", "7"},
    {"{\"sub\":\"a\\u00e4\\\"\"}", "sub", "a\xc3\xa4\""},
    {"{\"sub\":12345678901234567890.50}", "sub", "12345678901234567890.50"},
    {"{\"sub\":true}", "sub", "true"},
    {"{\"app\":{\"role\":\"x\"}}", "app.role", "x"},
    {"{\"app.role\":\"y\",\"app\":{\"role\":\"x\"}}", "app.role", "y"},
    {"{\"app\":{\"a.b\":{\"c\":1}}}", "app.a.b", "{\"c\":1}"},
    {"{\"app\":{ \"b\" : 1, \"a\" : [ 1 , 2 ] }}", "app", "{\"a\":[1,2],\"b\":1}"},
    {"{\"app\":\"x\"}", "app.role", NULL},
    {"{\"app\":{}}", "app.role", NULL},
    {"{}", "sub", NULL},
    {"{\"\":\"x\"}", "a.", NULL},
};

static void claims_are_found_and_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(text_rows); i++) {
        struct json claims = claims_of(text_rows[i].claims), claim;
        struct span text;
        bool found = claims_find(&claims, span_of(text_rows[i].path), &claim);
        assert_int_equal(found, text_rows[i].text != NULL);
        if (!found)
            continue;
        assert_true(claims_text(&claim, arena, &text));
        assert_string_equal(text.data, text_rows[i].text);
    }
}

static struct principal principal_of(const char *text)
{
    struct json claims = claims_of(text);
    struct principal principal;
    assert_true(claims_principal(&claims, &open_rules, arena, &principal));
    return principal;
}

static void a_bearer_is_who_the_claims_say(void **state)
{
    struct principal one =
        principal_of("{\"sub\":\"7\",\"role\":\"editor\",\"iss\":\"me\",\"exp\":5,\"jti\":\"a\"}");
    (void)state;
    assert_string_equal(one.subject.data, "7");
    assert_string_equal(one.role.data, "editor");
    assert_string_equal(one.canonical.data, "{\"iss\":\"me\",\"role\":\"editor\",\"sub\":\"7\"}");
    assert_string_equal(one.identity.data, "2:me7");
    struct principal none = principal_of("{\"role\":[\"a\"],\"iat\":1,\"nbf\":1}");
    assert_int_equal(none.subject.size, 0);
    assert_int_equal(none.role.size, 0);
    assert_string_equal(none.canonical.data, "{\"role\":[\"a\"]}");
    assert_true(span_equal(none.identity, none.canonical));
    assert_string_equal(principal_of("{}").canonical.data, "{}");
}

static void bearers_are_told_apart(void **state)
{
    struct principal a = principal_of("{\"iss\":\"a\",\"sub\":\"b7\"}");
    struct principal b = principal_of("{\"iss\":\"ab\",\"sub\":\"7\"}");
    struct principal again = principal_of("{\"exp\":9,\"sub\":\"7\",\"iss\":\"ab\",\"x\":1}");
    (void)state;
    assert_false(span_equal(a.identity, b.identity));
    assert_true(span_equal(b.identity, again.identity));
    assert_false(span_equal(b.canonical, again.canonical));
}

static void a_role_may_be_one_of_a_list(void **state)
{
    struct json one = claims_of("{\"role\":\"editor\"}");
    struct json list = claims_of("{\"role\":[\"reader\",\"editor\"]}");
    struct json none = claims_of("{\"role\":{\"editor\":true}}");
    (void)state;
    assert_true(claims_have_role(&one, &open_rules, SPAN_LITERAL("editor")));
    assert_true(claims_have_role(&list, &open_rules, SPAN_LITERAL("editor")));
    assert_false(claims_have_role(&one, &open_rules, SPAN_LITERAL("edit")));
    assert_false(claims_have_role(&none, &open_rules, SPAN_LITERAL("editor")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

UNIT_MAIN(TEST(dates_count_with_the_leeway), TEST(the_end_is_told_without_the_leeway),
          TEST(audience_and_issuer_are_held_to), TEST(claims_are_found_and_written),
          TEST(a_bearer_is_who_the_claims_say), TEST(bearers_are_told_apart),
          TEST(a_role_may_be_one_of_a_list))
