/*
 * SHA-256, HMAC-SHA-256 and SHA-1 (FIPS 180-4, RFC 2104), through libcrypto: its only user.
 */
#ifndef LARDER_BASE_DIGEST_H
#define LARDER_BASE_DIGEST_H

#include "base/error.h"
#include "base/span.h"

#define DIGEST_SIZE 32

/* One shot. ERROR_INTERNAL only if libcrypto refuses. */
MUST_CHECK bool digest_sha256(struct span data, unsigned char ret_digest[static DIGEST_SIZE],
                              struct error *error);

#define DIGEST_SHA1_SIZE 20

/* For what another program names by it, as Redis does its scripts; no protection. Errors as above.
 */
MUST_CHECK bool digest_sha1(struct span data, unsigned char ret_digest[static DIGEST_SHA1_SIZE],
                            struct error *error);

/* A key made ready once; usable by many threads at a time. */
struct digest_key;

/* Null on memory. */
struct digest_key *digest_key_new(struct span secret) MUST_CHECK;
void digest_key_free(struct digest_key *key);

MUST_CHECK bool digest_keyed(const struct digest_key *key, struct span data,
                             unsigned char ret_digest[static DIGEST_SIZE], struct error *error);

/* Are both the same? It takes as long for any two texts of one size. */
bool digest_same(struct span one, struct span other);

/* Lower-case hexadecimal of `size` bytes, terminated: `out` has room for 2 * size + 1. */
void digest_hex(const unsigned char *bytes, size_t size, char *out);

/*
 * base64url without padding (RFC 4648, section 5), terminated: 16 bytes give 22 characters.
 * `out` has room for (size * 4 + 2) / 3 + 1.
 */
void digest_base64url(const unsigned char *bytes, size_t size, char *out);

#endif
