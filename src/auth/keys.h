/*
 * The keys that tokens are verified by, as a file has them: a secret, a public key as PEM, or a set
 * of keys as JSON (RFC 7517, section 5). Never changes once made; shared by reference.
 */
#ifndef LARDER_AUTH_KEYS_H
#define LARDER_AUTH_KEYS_H

#include "auth/token.h"

struct keys;

/* Of a set; more are refused. */
#define KEYS_MAX 32

/* Bytes of an HS256 secret, at least (RFC 7518, section 3.2). */
#define SECRET_MIN 32

/*
 * Reads a file's text. One line break at a secret's end does not count. ERROR_INVALID: nothing in
 * it that the algorithm can use; the text is a sentence's end behind the file's name and never
 * shows any of it.
 */
MUST_CHECK bool keys_read(struct span text, enum auth_algorithm algorithm, struct keys **ret_keys,
                          struct error *error);

struct keys *keys_ref(struct keys *keys);

/* Null is allowed. */
void keys_unref(struct keys *keys);

/*
 * Is the token signed by one of the keys? One with the token's kid, or, where the token or a key
 * has none, any. ERROR_INVALID as token_read's.
 */
MUST_CHECK bool keys_verify(const struct keys *keys, const struct token *token,
                            struct error *error);

#endif
