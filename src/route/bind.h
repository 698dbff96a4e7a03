/*
 * Brings together what a route's annotations declare and what its statement uses.
 */
#ifndef LARDER_ROUTE_BIND_H
#define LARDER_ROUTE_BIND_H

#include "route/draft.h"

/*
 * Fills route.segments, route.params and statement.param_of. Names without a source, declared ones
 * without a use, and places that don't fit are faults. False only when memory ran out.
 */
MUST_CHECK bool route_bind(struct draft *draft);

#endif
