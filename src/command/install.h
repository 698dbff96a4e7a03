/*
 * What `larder install` says: why it may not be done, and what was done.
 */
#ifndef LARDER_COMMAND_INSTALL_H
#define LARDER_COMMAND_INSTALL_H

#include "db/install_survey.h"

#define INSTALL_CONNECT_TIMEOUT (5 * INT64_C(1000000))

/*
 * Says on stderr, all at once, what rights are missing and what stands in the way. Returns 0, or
 * the exit status.
 */
MUST_CHECK int install_judge(const struct install_place *place, const struct install_plan *plan,
                             const struct install_table *tables, size_t count, bool removing);

/* Prints what was done, a line a table. */
void install_report(const struct install_place *place, const struct install_plan *plan,
                    bool removed);

#endif
