/*
 * Media types a client accepts (RFC 9110, section 12.5.1).
 *
 * Of the ranges that fit a type the most specific decides its weight: one that names the type and
 * subtype before one with any subtype, before one for everything; of equally specific ones the
 * highest. Parameters other than q are not compared; a lone "*" is borne with. A header that is
 * absent (data null), empty or holds no well-formed range accepts everything.
 */
#ifndef LARDER_HTTP_MEDIA_H
#define LARDER_HTTP_MEDIA_H

#include "base/span.h"

/*
 * What a Content-Type says (RFC 9110, section 8.3): "type/subtype" as it came, and the charset
 * without its quotes (data null: none). False: it is malformed.
 */
bool media_type_read(struct span content_type, struct span *ret_type, struct span *ret_charset);

/* Is `type` ("application/json", no parameters) acceptable? False: 406. */
bool media_acceptable(struct span accept_header, const char *type);

/* The index of the type with the most weight, the earliest of equal ones. False: none, 406. */
bool media_choose(struct span accept_header, const char *const *types, size_t count,
                  size_t *ret_index);

#endif
