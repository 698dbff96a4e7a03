/*
 * Texts with {name} places, such as "user:{id}".
 *
 * Pure. The text is one that draft_refer_places found no fault in.
 */
#ifndef LARDER_ROUTE_TEMPLATE_H
#define LARDER_ROUTE_TEMPLATE_H

#include "base/bytes.h"
#include "base/span.h"

/*
 * Takes the next part off *rest: a literal, perhaps empty, and the name of the place behind it
 * (data null: the text ends with the literal). False: nothing is left.
 */
MUST_CHECK bool template_next(struct span *rest, struct span *ret_literal, struct span *ret_name);

/*
 * Appends a place's value so that it holds nothing that could be taken for a separator: letters,
 * digits, "-._~" and what is not ASCII stay, all else is %XX.
 */
void template_write_escaped(struct span value, struct bytes *out);

/* Does a byte stand in the literal that template_write_escaped never writes? */
bool template_separates(struct span literal);

#endif
