#include "base/digest.h"

#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

/* HMAC's two inner states with the key block already taken in (RFC 2104, section 4). */
struct digest_key {
    EVP_MD_CTX *inner;
    EVP_MD_CTX *outer;
};

#define BLOCK_SIZE 64

static bool refused(struct error *error)
{
    return error_set(error, ERROR_INTERNAL, "libcrypto refused to compute a digest");
}

bool digest_sha256(struct span data, unsigned char ret_digest[static DIGEST_SIZE],
                   struct error *error)
{
    if (!EVP_Digest(data.data, data.size, ret_digest, NULL, EVP_sha256(), NULL))
        return refused(error);
    return true;
}

bool digest_sha1(struct span data, unsigned char ret_digest[static DIGEST_SHA1_SIZE],
                 struct error *error)
{
    if (!EVP_Digest(data.data, data.size, ret_digest, NULL, EVP_sha1(), NULL))
        return refused(error);
    return true;
}

static EVP_MD_CTX *keyed_state(const unsigned char *secret, unsigned char mask)
{
    unsigned char block[BLOCK_SIZE];
    for (size_t i = 0; i < BLOCK_SIZE; i++)
        block[i] = secret[i] ^ mask;
    EVP_MD_CTX *state = EVP_MD_CTX_new();
    if (state && EVP_DigestInit_ex(state, EVP_sha256(), NULL) &&
        EVP_DigestUpdate(state, block, sizeof block))
        return state;
    EVP_MD_CTX_free(state);
    return NULL;
}

struct digest_key *digest_key_new(struct span secret)
{
    unsigned char padded[BLOCK_SIZE] = {0};
    if (secret.size > BLOCK_SIZE) {
        if (!digest_sha256(secret, padded, NULL))
            return NULL;
    } else if (secret.size) {
        memcpy(padded, secret.data, secret.size);
    }
    struct digest_key *key = calloc(1, sizeof *key);
    if (!key)
        return NULL;
    key->inner = keyed_state(padded, 0x36);
    key->outer = keyed_state(padded, 0x5c);
    if (!key->inner || !key->outer) {
        digest_key_free(key);
        return NULL;
    }
    return key;
}

void digest_key_free(struct digest_key *key)
{
    if (!key)
        return;
    EVP_MD_CTX_free(key->inner);
    EVP_MD_CTX_free(key->outer);
    free(key);
}

static bool state_finish(const EVP_MD_CTX *state, EVP_MD_CTX *scratch, struct span data,
                         unsigned char digest[static DIGEST_SIZE])
{
    return EVP_MD_CTX_copy_ex(scratch, state) && EVP_DigestUpdate(scratch, data.data, data.size) &&
           EVP_DigestFinal_ex(scratch, digest, NULL);
}

bool digest_keyed(const struct digest_key *key, struct span data,
                  unsigned char ret_digest[static DIGEST_SIZE], struct error *error)
{
    EVP_MD_CTX *scratch = EVP_MD_CTX_new();
    if (!scratch)
        return error_set_memory(error);
    unsigned char inner[DIGEST_SIZE];
    struct span inner_span = {.data = (const char *)inner, .size = sizeof inner};
    bool done = state_finish(key->inner, scratch, data, inner) &&
                state_finish(key->outer, scratch, inner_span, ret_digest);
    EVP_MD_CTX_free(scratch);
    return done ? true : refused(error);
}

void digest_hex(const unsigned char *bytes, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

void digest_base64url(const unsigned char *bytes, size_t size, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned bits = 0;
    int held = 0;
    for (size_t i = 0; i < size; i++) {
        bits = bits << 8 | bytes[i];
        for (held += 8; held >= 6; held -= 6)
            *out++ = digits[bits >> (held - 6) & 63];
    }
    if (held)
        *out++ = digits[bits << (6 - held) & 63];
    *out = '\0';
}

bool digest_same(struct span one, struct span other)
{
    return one.size == other.size && CRYPTO_memcmp(one.data, other.data, one.size) == 0;
}
