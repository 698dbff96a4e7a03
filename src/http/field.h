/*
 * The grammar that list-valued header fields share: members between commas, parameters after
 * semicolons, quoted texts, weights (RFC 9110, sections 5.6 and 12.4.2).
 *
 * Nothing is copied: every result is a view into the header.
 */
#ifndef LARDER_HTTP_FIELD_H
#define LARDER_HTTP_FIELD_H

#include "base/span.h"

#define FIELD_QUALITY_MAX 1000u

/*
 * Takes the next member that is not empty off *rest, without the blanks around it; false when
 * there is none left. A comma inside a quoted text does not part members.
 */
bool field_member_next(struct span *rest, struct span *ret_member);

/*
 * Takes what stands before the next semicolon outside quotes, without the blanks around it. The
 * last part leaves *rest with null data.
 */
struct span field_part_next(struct span *rest);

/* The value of the q parameter among `parameters` (what follows the first semicolon), in
 * thousandths; 1000 when there is none. Digits past the third and a missing leading 0 (".2") are
 * borne with. False: malformed or above 1. */
bool field_quality(struct span parameters, unsigned *ret_quality);

/* What stands between quotes, escapes as they are; or all of it. */
struct span field_unquoted(struct span text);

/* Whole seconds, in quotes or not, of which more than `most` count as `most`; false: no number. */
bool field_seconds(struct span text, int64_t most, int64_t *ret_seconds);

#endif
