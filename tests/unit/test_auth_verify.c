#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/auth.h"
#include "base/digest.h"

#define SECOND INT64_C(1000000)
#define SECRET "0123456789abcdef0123456789abcdef"
#define OTHER_SECRET "another one, just as long as it is"

static struct arena *arena;
static char path[64];
static struct auth *auth;

static void write_key(const char *text)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text));
    close(file);
}

static bool try_open(struct error *error)
{
    const struct auth_settings settings = {
        .algorithm = AUTH_HS256,
        .key_file = path,
        .rules = {.audience = "", .issuer = "", .role = "role", .leeway = 30 * SECOND}};
    return auth_open(&settings, &auth, error);
}

static int begin(void **state)
{
    (void)state;
    arena = arena_new();
    auth = NULL;
    snprintf(path, sizeof path, "/tmp/larder-unit-key-XXXXXX");
    close(mkstemp(path));
    write_key(SECRET "\n");
    return arena ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    auth_free(auth);
    unlink(path);
    arena_free(arena);
    return 0;
}

static const char *encoded(const char *text)
{
    char *out = arena_alloc(arena, strlen(text) * 2 + 4);
    digest_base64url((const unsigned char *)text, strlen(text), out);
    return out;
}

static const char *token_of(const char *secret, const char *claims)
{
    unsigned char digest[DIGEST_SIZE];
    char signature[64];
    char *text = arena_format(arena, "%s.%s", encoded("{\"alg\":\"HS256\"}"), encoded(claims));
    struct digest_key *key = digest_key_new(span_of(secret));
    assert_true(digest_keyed(key, span_of(text), digest, NULL));
    digest_key_free(key);
    digest_base64url(digest, sizeof digest, signature);
    return arena_format(arena, "%s.%s", text, signature);
}

/* "known", "verified" or what is wrong. */
static const char *asked(const char *token, int64_t now)
{
    static struct error error;
    struct principal principal;
    bool known;
    error = (struct error){0};
    if (!auth_verify(auth, span_of(token), now, arena, &principal, &known, &error))
        return error.text;
    assert_string_equal(principal.subject.data, "7");
    return known ? "known" : "verified";
}

static void a_token_is_known_for_a_while(void **state)
{
    (void)state;
    assert_true(try_open(NULL));
    const char *token = token_of(SECRET, "{\"sub\":\"7\"}");
    assert_string_equal(asked(token, 0), "verified");
    assert_string_equal(asked(token, 59 * SECOND), "known");
    assert_string_equal(asked(token, 60 * SECOND), "verified");
    assert_string_equal(asked(token_of(OTHER_SECRET, "{\"sub\":\"7\"}"), 0),
                        "is not signed by a key that this server trusts");
}

/* Within the leeway a token counts, and is verified each time. */
static void a_known_token_ends_with_its_time(void **state)
{
    (void)state;
    assert_true(try_open(NULL));
    const char *token = token_of(SECRET, "{\"sub\":\"7\",\"exp\":1000}");
    assert_string_equal(asked(token, 995 * SECOND), "verified");
    assert_string_equal(asked(token, 1000 * SECOND - 1), "known");
    assert_string_equal(asked(token, 1000 * SECOND), "verified");
    assert_string_equal(asked(token, 1001 * SECOND), "verified");
    assert_string_equal(asked(token, 1030 * SECOND), "has expired");
    assert_string_equal(asked(token, 995 * SECOND), "known");
}

static void other_keys_are_taken_and_the_old_forgotten(void **state)
{
    struct error error = {0};
    bool changed;
    (void)state;
    assert_true(try_open(NULL));
    const char *old = token_of(SECRET, "{\"sub\":\"7\"}");
    const char *new = token_of(OTHER_SECRET, "{\"sub\":\"7\"}");
    assert_string_equal(asked(old, 0), "verified");
    assert_true(auth_refresh(auth, &changed, &error));
    assert_false(changed);
    assert_string_equal(asked(old, 0), "known");
    write_key(OTHER_SECRET);
    assert_true(auth_refresh(auth, &changed, &error));
    assert_true(changed);
    assert_string_equal(asked(old, 0), "is not signed by a key that this server trusts");
    assert_string_equal(asked(new, 0), "verified");
}

static void a_bad_file_keeps_the_old_keys(void **state)
{
    struct error error = {0};
    bool changed;
    (void)state;
    assert_true(try_open(NULL));
    const char *token = token_of(SECRET, "{\"sub\":\"7\"}");
    write_key("short");
    assert_false(auth_refresh(auth, &changed, &error));
    assert_non_null(strstr(error.text, "5 bytes"));
    assert_null(strstr(error.text, "short"));
    assert_true(auth_refresh(auth, &changed, &error)); /* told once */
    assert_false(changed);
    assert_string_equal(asked(token, 0), "verified");
    unlink(path);
    assert_false(auth_refresh(auth, &changed, &error));
    assert_string_equal(asked(token, 0), "known");
    write_key(SECRET);
    assert_true(auth_refresh(auth, &changed, &error));
    assert_true(changed); /* the line break is gone, the key is the same */
    assert_string_equal(asked(token, 0), "verified");
}

static void a_file_that_others_may_write_is_refused(void **state)
{
    struct error error = {0};
    (void)state;
    chmod(path, 0602);
    assert_false(try_open(&error));
    assert_non_null(strstr(error.text, "may write"));
    assert_non_null(strstr(error.text, path));
    unlink(path);
    assert_false(try_open(&error));
    assert_non_null(strstr(error.text, "LARDER_JWT_KEY_FILE"));
    mkdir(path, 0700);
    assert_false(try_open(&error));
    assert_non_null(strstr(error.text, "no file"));
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0); /* must not wait for a writer */
    assert_false(try_open(&error));
}

static void a_large_file_is_refused(void **state)
{
    struct error error = {0};
    (void)state;
    assert_int_equal(truncate(path, 64 * 1024 + 1), 0);
    assert_false(try_open(&error));
    assert_non_null(strstr(error.text, "64 KB"));
    assert_int_equal(truncate(path, 64 * 1024), 0);
    assert_true(try_open(&error));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

UNIT_MAIN(TEST(a_token_is_known_for_a_while), TEST(a_known_token_ends_with_its_time),
          TEST(other_keys_are_taken_and_the_old_forgotten), TEST(a_bad_file_keeps_the_old_keys),
          TEST(a_file_that_others_may_write_is_refused), TEST(a_large_file_is_refused))
