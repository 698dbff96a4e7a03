/*
 * Public keys as JSON (RFC 7517; RFC 7518, section 6) and as PEM, brought into the PEM that the
 * verifying library takes, and held to what an algorithm asks of its keys.
 */
#ifndef LARDER_AUTH_JWK_H
#define LARDER_AUTH_JWK_H

#include "auth/algorithm.h"
#include "base/json.h"

/* Of RSA keys; smaller ones are refused (RFC 7518, section 3.3). */
#define RSA_BITS_MIN 2048

/* ERROR_INVALID: the text is no PEM of a public key, or of one that the algorithm can't use. */
MUST_CHECK bool pem_public_key(struct span text, enum auth_algorithm algorithm,
                               struct bytes *ret_pem, struct error *error);

/*
 * What verifies by this JSON object: for HS256 the secret's bytes, else PEM. *ret_fits is false,
 * with nothing written, for a key of another kind, algorithm or use, which is passed over.
 * ERROR_INVALID: it says that it fits, and is no good.
 */
MUST_CHECK bool jwk_key(const struct json *jwk, enum auth_algorithm algorithm, struct arena *arena,
                        struct bytes *ret_key, bool *ret_fits, struct error *error);

#endif
