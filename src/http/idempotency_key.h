/*
 * Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): the name a client gives a request,
 * so that it may send it again without it being done again.
 */
#ifndef LARDER_HTTP_IDEMPOTENCY_KEY_H
#define LARDER_HTTP_IDEMPOTENCY_KEY_H

#include "base/compiler.h"
#include "base/span.h"

#define IDEMPOTENCY_KEY_MAX 255

struct idempotency_key {
    char text[IDEMPOTENCY_KEY_MAX];
    size_t size; /* at least 1 */
};

/*
 * The header's value: a string of a structured field (RFC 8941, section 3.3.3), "8e03978e", or, as
 * most clients send it, the same without quotes: then it has visible ASCII characters other than
 * quotes, backslashes, commas and semicolons. Both forms are one key. False: neither, or not of 1
 * to 255 characters.
 */
MUST_CHECK bool idempotency_key_read(struct span header, struct idempotency_key *ret_key);

#endif
