#include "unit.h"

#include "base/digest.h"

static void sha256_of_the_standard_s_example(void **state)
{
    unsigned char digest[DIGEST_SIZE];
    char hex[2 * DIGEST_SIZE + 1];
    (void)state;
    assert_true(digest_sha256(SPAN_LITERAL("abc"), digest, NULL));
    digest_hex(digest, DIGEST_SIZE, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void sha1_of_the_standard_s_example(void **state)
{
    unsigned char digest[DIGEST_SHA1_SIZE];
    char hex[2 * DIGEST_SHA1_SIZE + 1];
    (void)state;
    assert_true(digest_sha1(SPAN_LITERAL("abc"), digest, NULL));
    digest_hex(digest, DIGEST_SHA1_SIZE, hex);
    assert_string_equal(hex, "a9993e364706816aba3e25717850c26c9cd0d89d");
}

/* RFC 4231, section 4.3 (test case 2) and 4.7 (a key longer than a block). */
static void hmac_of_the_rfc_s_examples(void **state)
{
    unsigned char digest[DIGEST_SIZE];
    char hex[2 * DIGEST_SIZE + 1], long_key[131];
    (void)state;
    struct digest_key *key = digest_key_new(SPAN_LITERAL("Jefe"));
    assert_true(digest_keyed(key, SPAN_LITERAL("what do ya want for nothing?"), digest, NULL));
    digest_hex(digest, DIGEST_SIZE, hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    digest_key_free(key);
    memset(long_key, 0xaa, sizeof long_key);
    key = digest_key_new((struct span){long_key, sizeof long_key});
    assert_true(digest_keyed(
        key, SPAN_LITERAL("Test Using Larger Than Block-Size Key - Hash Key First"), digest, NULL));
    digest_hex(digest, DIGEST_SIZE, hex);
    assert_string_equal(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    digest_key_free(key);
}

static void base64url_of_the_rfc_s_examples(void **state)
{
    char text[24];
    (void)state;
    digest_base64url((const unsigned char *)"foobar", 6, text);
    assert_string_equal(text, "Zm9vYmFy");
    digest_base64url((const unsigned char *)"fooba", 5, text);
    assert_string_equal(text, "Zm9vYmE");
    digest_base64url((const unsigned char *)"\xff\xff\xfe", 3, text);
    assert_string_equal(text, "___-");
}

static void texts_are_the_same_by_all_their_bytes(void **state)
{
    (void)state;
    assert_true(digest_same(SPAN_LITERAL("abc"), SPAN_LITERAL("abc")));
    assert_true(digest_same((struct span){0}, SPAN_LITERAL("")));
    assert_false(digest_same(SPAN_LITERAL("abc"), SPAN_LITERAL("abd")));
    assert_false(digest_same(SPAN_LITERAL("abc"), SPAN_LITERAL("bbc")));
    assert_false(digest_same(SPAN_LITERAL("abc"), SPAN_LITERAL("ab")));
}

UNIT_MAIN(cmocka_unit_test(sha256_of_the_standard_s_example),
          cmocka_unit_test(sha1_of_the_standard_s_example),
          cmocka_unit_test(hmac_of_the_rfc_s_examples),
          cmocka_unit_test(base64url_of_the_rfc_s_examples),
          cmocka_unit_test(texts_are_the_same_by_all_their_bytes))
