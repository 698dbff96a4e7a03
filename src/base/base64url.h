/*
 * base64url without padding (RFC 4648, section 5; RFC 7515, section 2), read strictly: one text for
 * the same bytes, so that no token has two spellings. base/digest.h writes it.
 */
#ifndef LARDER_BASE_BASE64URL_H
#define LARDER_BASE_BASE64URL_H

#include "base/arena.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/span.h"

/* The most bytes that so many characters stand for. */
#define BASE64URL_ROOM(characters) ((characters) / 4 * 3 + 2)

/*
 * The bytes, BASE64URL_ROOM(text.size) at most. False, and they mean nothing: padding, another
 * character, a length that no bytes have, or bits left over that are not zero.
 */
MUST_CHECK bool base64url_decode(struct span text, char *ret_bytes, size_t *ret_size);

/* The same, terminated, in `arena`; ERROR_INVALID. */
MUST_CHECK bool base64url_read(struct span text, struct arena *arena, struct span *ret_bytes,
                               struct error *error);

#endif
