/*
 * Texts with {name} places, as in "feed:{id}" and "/feeds/{id}". Pure.
 */
#ifndef LARDER_ROUTE_TEMPLATE_H
#define LARDER_ROUTE_TEMPLATE_H

#include "base/span.h"

/*
 * Takes the literal text before the next place, and the place's name, off the rest. False at the
 * end; a last literal comes with a name of null data.
 */
bool template_next(struct span *rest, struct span *ret_literal, struct span *ret_name);

#endif
