/*
 * A JSON Web Token in its compact form (RFC 7519; RFC 7515, section 7.1), taken apart and not yet
 * believed: whoever reads the claims verifies the signature first. Pure.
 *
 * It is read more strictly than the verifying library does, so that the two can't see different
 * tokens in one text: no name twice, no padding, no extension that must be understood.
 */
#ifndef LARDER_AUTH_TOKEN_H
#define LARDER_AUTH_TOKEN_H

#include "auth/algorithm.h"
#include "base/json.h"

/* Bytes; a longer one is refused. */
#define TOKEN_MAX 8192

struct token {
    const char *text;        /* the whole token, terminated */
    struct span signed_text; /* "header.claims" */
    struct span signature;   /* decoded */
    struct json claims;      /* an object */
    struct span kid;         /* which key, by the token's own word; data null: it does not say */
};

/*
 * Everything is in `arena`. ERROR_INVALID: no token, or of another algorithm; the text is a
 * sentence's end ("is longer than 8192 bytes") in plain ASCII without quotes, fit for a client.
 */
MUST_CHECK bool token_read(struct span text, enum auth_algorithm algorithm, struct arena *arena,
                           struct token *ret_token, struct error *error);

#endif
