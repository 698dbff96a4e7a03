/*
 * Vary (RFC 9110, section 12.5.5), in one line: of two, nginx before 1.23 sees only the last.
 */
#ifndef LARDER_HTTP_VARY_H
#define LARDER_HTTP_VARY_H

#include "base/bytes.h"

enum vary {
    VARY_ACCEPT_ENCODING = 1 << 0,
    VARY_AUTHORIZATION = 1 << 1,
    VARY_ORIGIN = 1 << 2,
    VARY_ACCEPT = 1 << 3,
};

#define VARY_MAX 128 /* bytes; nginx keeps no answer with a longer one */

/* Appends the field's value, at most VARY_MAX bytes; nothing for 0. */
void vary_write(unsigned bits, struct bytes *out);

#endif
