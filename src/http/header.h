/*
 * What may stand in a header field (RFC 9110, sections 5.1, 5.5 and 5.6.2).
 */
#ifndef LARDER_HTTP_HEADER_H
#define LARDER_HTTP_HEADER_H

#include "base/span.h"

/* May the value be sent? No CR, LF, NUL or other control but tab; bytes above 0x7F pass. */
bool header_value_valid(struct span value);

/* A token: what names of fields, methods and codings are made of. Never empty. */
bool header_token_valid(struct span text);

/* How many token bytes `text` begins with. */
size_t header_token_size(struct span text);

#endif
