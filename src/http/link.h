/*
 * Link (RFC 8288): where the next and the previous page are.
 */
#ifndef LARDER_HTTP_LINK_H
#define LARDER_HTTP_LINK_H

#include "base/bytes.h"

/*
 * Appends `<target>; rel="relation"`, after a comma if `out` holds a link already. Bytes of the
 * target that no URI may hold are percent-encoded; `relation` is a token.
 */
void link_write(struct span target, const char *relation, struct bytes *out);

#endif
