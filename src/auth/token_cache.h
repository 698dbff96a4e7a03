/*
 * Bearers of tokens that were verified a moment ago, by the tokens' digests: bounded in number and
 * size, at most TOKEN_CACHE_TIME old, never past a token's exp, and of one generation of keys. The
 * tokens themselves are not in it.
 */
#ifndef LARDER_AUTH_TOKEN_CACHE_H
#define LARDER_AUTH_TOKEN_CACHE_H

#include <stdint.h>

#include "auth/principal.h"
#include "base/digest.h"

/* How long a verified token is taken at its word: µs. */
#define TOKEN_CACHE_TIME (60 * INT64_C(1000000))

/* Bytes of a bearer's texts; larger ones are not kept. */
#define TOKEN_CACHE_TEXT_MAX 4096

struct token_cache; /* usable by many threads */

struct token_name {
    unsigned char digest[DIGEST_SIZE]; /* of the whole token */
    uint64_t generation;               /* of the keys */
};

/* Null: memory. */
struct token_cache *token_cache_new(void) MUST_CHECK;

/* Null is allowed. */
void token_cache_free(struct token_cache *cache);

/* The bearer, its texts copied to `arena`; false: not there (or memory). `now`: wall clock µs. */
MUST_CHECK bool token_cache_get(struct token_cache *cache, const struct token_name *name,
                                int64_t now, struct arena *arena, struct principal *ret_principal);

/* Keeps a copy until `until` at most. Whatever goes wrong only keeps nothing. */
void token_cache_put(struct token_cache *cache, const struct token_name *name, int64_t now,
                     int64_t until, const struct principal *principal);

#endif
