#include "unit.h"

#include <stdio.h>

#include "auth/keys.h"
#include "auth_samples.h"
#include "base/digest.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define SECRET_JWK "\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\""
#define RSA_JWK "\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\""
#define EC_JWK "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\""

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

/* {"sub":"7"} signed with the secret, with these further members in the header. */
static const char *hs256_token(const char *secret, const char *more)
{
    char header[256], *claims = arena_alloc(arena, 64), *encoded = arena_alloc(arena, 512);
    unsigned char digest[DIGEST_SIZE];
    char signature[64];
    snprintf(header, sizeof header, "{\"alg\":\"HS256\"%s}", more);
    digest_base64url((const unsigned char *)header, strlen(header), encoded);
    digest_base64url((const unsigned char *)"{\"sub\":\"7\"}", 11, claims);
    char *text = arena_format(arena, "%s.%s", encoded, claims);
    struct digest_key *key = digest_key_new(span_of(secret));
    assert_true(digest_keyed(key, span_of(text), digest, NULL));
    digest_key_free(key);
    digest_base64url(digest, sizeof digest, signature);
    return arena_format(arena, "%s.%s", text, signature);
}

static bool verifies(const char *file, enum auth_algorithm algorithm, const char *text,
                     struct error *error)
{
    struct keys *keys;
    struct token token;
    if (!keys_read(span_of(file), algorithm, &keys, error))
        fail_msg("%s: %s", file, error->text);
    assert_true(token_read(span_of(text), algorithm, arena, &token, error));
    bool good = keys_verify(keys, &token, error);
    keys_unref(keys);
    return good;
}

static const struct good_row {
    const char *file;
    enum auth_algorithm algorithm;
    const char *token; /* null: one signed with SECRET */
} good_rows[] = {
    {SECRET, AUTH_HS256, NULL},
    {SECRET "\n", AUTH_HS256, NULL},
    {SECRET "\r\n", AUTH_HS256, NULL},
    {"{" SECRET_JWK "}", AUTH_HS256, NULL},
    {"{\"keys\":[{" SECRET_JWK "}]}", AUTH_HS256, NULL},
    {RSA_PEM, AUTH_RS256, RSA_TOKEN},
    {"{" RSA_JWK ",\"alg\":\"RS256\",\"use\":\"sig\"}", AUTH_RS256, RSA_TOKEN},
    {"{\"keys\":[{" EC_JWK "},{" SECRET_JWK "},{\"kty\":\"OKP\"},{" RSA_JWK ",\"kid\":\"a\"}]}",
     AUTH_RS256, RSA_TOKEN},
    {EC_PEM, AUTH_ES256, EC_TOKEN},
    {" \n{\"keys\":[{" RSA_JWK "},{" EC_JWK "}]}", AUTH_ES256, EC_TOKEN},
};

static void every_kind_of_key_verifies(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(good_rows); i++) {
        const struct good_row *row = &good_rows[i];
        struct error error = {0};
        const char *token = row->token ? row->token : hs256_token(SECRET, "");
        if (!verifies(row->file, row->algorithm, token, &error))
            fail_msg("row %zu: %s", i, error.text);
    }
}

/* Every byte of header, claims and signature counts. */
static void a_changed_token_is_refused(void **state)
{
    const char *const tokens[] = {hs256_token(SECRET, ""), RSA_TOKEN, EC_TOKEN};
    static const char *const files[] = {SECRET, RSA_PEM, EC_PEM};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(tokens); i++) {
        struct keys *keys;
        assert_true(keys_read(span_of(files[i]), (enum auth_algorithm)(i + 1), &keys, NULL));
        for (size_t at = 0; at < strlen(tokens[i]); at++) {
            char *copy = arena_text(arena, span_of(tokens[i]));
            struct token token;
            copy[at] = copy[at] == 'A' ? 'B' : 'A';
            if (token_read(span_of(copy), (enum auth_algorithm)(i + 1), arena, &token, NULL) &&
                keys_verify(keys, &token, NULL))
                fail_msg("token %zu with another byte %zu", i, at);
        }
        keys_unref(keys);
    }
}

static void other_keys_do_not_verify(void **state)
{
    struct error error = {0};
    (void)state;
    assert_false(verifies("x" SECRET, AUTH_HS256, hs256_token(SECRET, ""), &error));
    assert_non_null(strstr(error.text, "trusts"));
    /* The public key taken for a secret: what makes the algorithm be fixed. */
    assert_false(verifies(RSA_PEM, AUTH_RS256, RSA_TOKEN, &error) &&
                 verifies(SECRET, AUTH_HS256, hs256_token(RSA_PEM, ""), &error));
}

static void a_kid_is_only_compared(void **state)
{
    static const char set[] =
        "{\"keys\":[{" SECRET_JWK ",\"kid\":\"new\"},{\"kty\":\"oct\","
        "\"kid\":\"old\",\"k\":\"YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE\"}]}";
    struct error error = {0};
    (void)state;
    assert_true(verifies(set, AUTH_HS256, hs256_token(SECRET, ",\"kid\":\"new\""), &error));
    assert_true(verifies(set, AUTH_HS256, hs256_token(SECRET, ""), &error));
    assert_false(verifies(set, AUTH_HS256, hs256_token(SECRET, ",\"kid\":\"old\""), &error));
    assert_non_null(strstr(error.text, "trusts"));
    assert_false(
        verifies(set, AUTH_HS256, hs256_token(SECRET, ",\"kid\":\"../../etc/passwd\""), &error));
    assert_non_null(strstr(error.text, "does not have"));
    /* A file with one key knows no names. */
    assert_true(
        verifies(SECRET, AUTH_HS256, hs256_token(SECRET, ",\"kid\":\"/dev/null\""), &error));
}

static const struct bad_row {
    const char *file;
    enum auth_algorithm algorithm;
    const char *problem;
} bad_rows[] = {
    {"", AUTH_HS256, "0 bytes"},
    {"0123456789abcdef0123456789abcde\n", AUTH_HS256, "31 bytes"},
    {RSA_PEM, AUTH_HS256, "is PEM"},
    {"{\"kty\":\"oct\",\"k\":\"Zm9v\"}", AUTH_HS256, "3 bytes"},
    {"{\"kty\":\"oct\",\"k\":\"Zm=\"}", AUTH_HS256, "\"k\""},
    {"{\"kty\":\"oct\"}", AUTH_HS256, "\"k\""},
    {"{" RSA_JWK "}", AUTH_HS256, "no key for HS256"},
    {"{\"keys\":[]}", AUTH_RS256, "no key for RS256"},
    {"{\"keys\":[{" RSA_JWK ",\"use\":\"enc\"},{" RSA_JWK ",\"alg\":\"RS512\"}]}", AUTH_RS256,
     "no key for RS256"},
    {"{\"keys\":{}}", AUTH_RS256, "no array"},
    {"{\"keys\":", AUTH_RS256, "no valid JSON"},
    {SECRET, AUTH_RS256, "as PEM"},
    {SMALL_PEM, AUTH_RS256, "1024 bits"},
    {EC_PEM, AUTH_RS256, "no RSA key"},
    {RSA_PEM, AUTH_ES256, "P-256"},
    {EC384_PEM, AUTH_ES256, "P-256"},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"Zm9v\",\"y\":\"Zm9v\"}", AUTH_ES256, "32 bytes"},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_X "\"}", AUTH_ES256,
     "make none"},
};

static void files_without_a_key_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad_rows); i++) {
        struct keys *keys;
        struct error error = {0};
        assert_false(keys_read(span_of(bad_rows[i].file), bad_rows[i].algorithm, &keys, &error));
        if (!strstr(error.text, bad_rows[i].problem))
            fail_msg("row %zu: \"%s\" says nothing of \"%s\"", i, error.text, bad_rows[i].problem);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

UNIT_MAIN(TEST(every_kind_of_key_verifies), TEST(a_changed_token_is_refused),
          TEST(other_keys_do_not_verify), TEST(a_kid_is_only_compared),
          TEST(files_without_a_key_are_refused))
