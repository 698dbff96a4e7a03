/*
 * What is no fault in a route file, and mostly not what its author meant.
 */
#ifndef LARDER_COMMAND_SLIPS_H
#define LARDER_COMMAND_SLIPS_H

#include "route/table.h"

/* Prints a note for each; not `whole`: a file at fault may have what the table lacks. */
void slips_print(const struct route_table *table, const struct route *route, bool whole);

#endif
