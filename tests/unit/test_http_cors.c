#include "unit.h"

#include "http/cors.h"

#define LIST "https://app.example, http://localhost:3000"
#define ALLOWED(origin) "Access-Control-Allow-Origin: " origin "\r\n"
#define EXPOSED "Access-Control-Expose-Headers: ETag\r\n"
#define CREDENTIALS "Access-Control-Allow-Credentials: true\r\n"

static const struct cors_case {
    const char *origins, *origin; /* null: no Origin sent */
    bool credentials;
    const char *lines;
} cases[] = {
    {"*", NULL, false, ALLOWED("*") EXPOSED},
    {"*", "https://app.example", false, ALLOWED("*") EXPOSED},
    {"*", "null", false, ALLOWED("*") EXPOSED},
    {LIST, NULL, false, ""},
    {LIST, "", false, ""},
    {LIST, "null", false, ""},
    {LIST, "https://app.example", false, ALLOWED("https://app.example") EXPOSED},
    {LIST, "http://localhost:3000", true, ALLOWED("http://localhost:3000") CREDENTIALS EXPOSED},
    {LIST, "https://other.example", true, ""},
    {LIST, "https://app.example.evil.example", false, ""},
    {LIST, "http://app.example", false, ""},
    {LIST, "https://app.example:8443", false, ""},
    {LIST, "http://localhost", false, ""},
    {LIST, LIST, false, ""},
};

static struct cors *make(const char *origins, bool credentials, const char *headers)
{
    const struct cors_settings settings = {.origins = origins,
                                           .methods = "GET, HEAD, PUT",
                                           .headers = headers,
                                           .expose = "ETag",
                                           .max_age = 90 * INT64_C(1000000),
                                           .credentials = credentials};
    struct cors *cors;
    struct error error;
    assert_true(cors_new(&settings, &cors, &error));
    return cors;
}

static void says_who_may_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct cors *cors = make(cases[i].origins, cases[i].credentials, "X");
        struct bytes head = BYTES_EMPTY;
        cors_append(cors, span_of(cases[i].origin), &head);
        assert_string_equal(bytes_text(&head), cases[i].lines);
        bytes_clear(&head);
        cors_append_preflight(cors, span_of(cases[i].origin), SPAN_LITERAL("GET, HEAD"), &head);
        assert_int_equal(head.size > 0, *cases[i].lines != '\0');
        bytes_free(&head);
        cors_free(cors);
    }
}

static void differs_by_origin_only_for_a_list(void **state)
{
    struct cors *any = make("*", false, "X"), *list = make(LIST, false, "X");
    (void)state;
    assert_false(cors_varies(any));
    assert_true(cors_varies(list));
    cors_free(any);
    cors_free(list);
    assert_null(make("", true, "*"));
}

static void answers_a_preflight(void **state)
{
    struct cors *named = make("*", false, "Content-Type, X"), *any = make("*", false, "*");
    struct bytes head = BYTES_EMPTY;
    (void)state;
    cors_append_preflight(named, (struct span){0}, SPAN_LITERAL("GET"), &head);
    assert_string_equal(bytes_text(&head), "Access-Control-Allow-Methods: GET\r\n"
                                           "Access-Control-Allow-Headers: Content-Type, X\r\n"
                                           "Access-Control-Max-Age: 90\r\n");
    bytes_clear(&head);
    cors_append_preflight(any, (struct span){0}, SPAN_LITERAL("GET"), &head);
    assert_non_null(strstr(bytes_text(&head), "Allow-Headers: *, Authorization\r\n"));
    assert_true(cors_allows_method(named, SPAN_LITERAL("PUT")));
    assert_false(cors_allows_method(named, SPAN_LITERAL("DELETE")));
    assert_false(cors_allows_method(named, SPAN_LITERAL("put")));
    bytes_free(&head);
    cors_free(named);
    cors_free(any);
}

static void credentials_need_names(void **state)
{
    struct cors_settings settings = {
        .origins = "*", .methods = "*", .headers = "X", .expose = "X", .credentials = true};
    struct cors *cors;
    struct error error;
    (void)state;
    assert_false(cors_new(&settings, &cors, &error));
    assert_string_equal(error.text,
                        "LARDER_CORS_CREDENTIALS is \"on\", but must be off while "
                        "LARDER_CORS_ORIGINS is \"*\": with credentials each must be named");
    settings.origins = LIST;
    settings.expose = "*";
    assert_false(cors_new(&settings, &cors, &error));
    assert_non_null(strstr(error.text, "while LARDER_CORS_EXPOSE is"));
    settings.expose = "X";
    assert_true(cors_new(&settings, &cors, &error));
    cors_free(cors);
}

UNIT_MAIN(cmocka_unit_test(says_who_may_read), cmocka_unit_test(differs_by_origin_only_for_a_list),
          cmocka_unit_test(answers_a_preflight), cmocka_unit_test(credentials_need_names))
