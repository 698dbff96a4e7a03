#include "unit.h"

#include <stdlib.h>

#include "auth/token.h"
#include "base/digest.h"

static struct arena *arena;

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

static const char *encoded(const char *text)
{
    char *out = arena_alloc(arena, strlen(text) * 2 + 4);
    assert_non_null(out);
    digest_base64url((const unsigned char *)text, strlen(text), out);
    return out;
}

static const char *token_of(const char *header, const char *claims)
{
    return arena_format(arena, "%s.%s.c2ln", encoded(header), encoded(claims));
}

static void a_token_is_taken_apart(void **state)
{
    const char *text =
        token_of("{\"alg\":\"HS256\",\"kid\":\"a\",\"typ\":\"jwt\"}", "{\"sub\":\"7\"}");
    struct token token;
    (void)state;
    assert_true(token_read(span_of(text), AUTH_HS256, arena, &token, NULL));
    assert_string_equal(token.text, text);
    assert_true(span_is(token.kid, "a"));
    assert_true(span_is(token.claims.text, "{\"sub\":\"7\"}"));
    assert_true(span_is(token.signature, "sig"));
    assert_int_equal(token.signed_text.size, strlen(text) - 5);
    text = token_of("{\"alg\":\"RS256\"}", "{}");
    assert_true(token_read(span_of(text), AUTH_RS256, arena, &token, NULL));
    assert_null(token.kid.data);
}

static const struct bad_row {
    const char *header, *claims, *problem;
} bad_rows[] = {
    {"{\"alg\":\"none\"}", "{}", "another algorithm"},
    {"{\"alg\":\"None\"}", "{}", "another algorithm"},
    {"{\"alg\":\"hs256\"}", "{}", "another algorithm"},
    {"{\"alg\":\"HS512\"}", "{}", "another algorithm"},
    {"{\"alg\":\"RS256\"}", "{}", "another algorithm"},
    {"{\"alg\":[\"HS256\"]}", "{}", "does not say how"},
    {"{}", "{}", "does not say how"},
    {"{\"alg\":\"none\",\"alg\":\"HS256\"}", "{}", "header"},
    {"{\"alg\":\"none\",\"\\u0061lg\":\"HS256\"}", "{}", "header"},
    {"[]", "{}", "header"},
    {"{\"alg\":\"HS256\"", "{}", "header"},
    {"{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", "{}", "extension"},
    {"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", "{}", "type JWT"},
    {"{\"alg\":\"HS256\",\"typ\":1}", "{}", "type JWT"},
    {"{\"alg\":\"HS256\",\"kid\":1}", "{}", "kid"},
    {"{\"alg\":\"HS256\"}", "7", "claims"},
    {"{\"alg\":\"HS256\"}", "{\"sub\":\"1\",\"sub\":\"2\"}", "claims"},
    {"{\"alg\":\"HS256\"}", "{\"sub\":\"\xff\"}", "claims"},
    {"{\"alg\":\"HS256\"}", "{\"sub\":\"\\ud800\"}", "claims"},
    {"{\"alg\":\"HS256\"}", "{\"sub\":\"a\\u0000b\"}", "claims"},
    {"{\"alg\":\"HS256\"}", "", "claims"},
};

static void refused(const char *text, const char *problem)
{
    struct token token;
    struct error error = {0};
    assert_false(token_read(span_of(text), AUTH_HS256, arena, &token, &error));
    assert_int_equal(error.kind, ERROR_INVALID);
    if (!strstr(error.text, problem))
        fail_msg("%s: \"%s\" says nothing of \"%s\"", text, error.text, problem);
    assert_null(strpbrk(error.text, "\"\\\n"));
}

static void other_headers_and_claims_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad_rows); i++)
        refused(token_of(bad_rows[i].header, bad_rows[i].claims), bad_rows[i].problem);
}

static void other_texts_are_refused(void **state)
{
    const char *good = token_of("{\"alg\":\"HS256\"}", "{}");
    (void)state;
    refused("", "three parts");
    refused(".", "three parts");
    refused("a.b", "three parts");
    refused(arena_format(arena, "%s.x", good), "three parts");
    refused("..", "header");
    refused(arena_format(arena, "%s=", good), "signature");
    refused(arena_format(arena, " %s", good), "header");
    refused(arena_format(arena, "%s ", good), "signature");
    char *huge = arena_alloc(arena, TOKEN_MAX + 2);
    memset(huge, 'A', TOKEN_MAX + 1);
    refused(huge, "longer than 8192");
}

/* A part cut or a bit turned anywhere is no crash, whatever it is taken for. */
static void cut_tokens_are_survived(void **state)
{
    const char *good =
        token_of("{\"alg\":\"HS256\",\"kid\":\"a\"}", "{\"sub\":\"7\",\"n\":[1,{}]}");
    struct token token;
    (void)state;
    for (size_t size = 0; size < strlen(good); size++) {
        char *copy = malloc(size);
        memcpy(copy, good, size);
        bool read = token_read((struct span){copy, size}, AUTH_HS256, arena, &token, NULL);
        assert_true(!read || size >= strlen(good) - 4); /* the end of the signature */
        free(copy);
    }
}

UNIT_MAIN(cmocka_unit_test_setup_teardown(a_token_is_taken_apart, begin, end),
          cmocka_unit_test_setup_teardown(other_headers_and_claims_are_refused, begin, end),
          cmocka_unit_test_setup_teardown(other_texts_are_refused, begin, end),
          cmocka_unit_test_setup_teardown(cut_tokens_are_survived, begin, end))
