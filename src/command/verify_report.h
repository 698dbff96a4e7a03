/*
 * What `larder verify` prints.
 */
#ifndef LARDER_COMMAND_VERIFY_REPORT_H
#define LARDER_COMMAND_VERIFY_REPORT_H

#include "serve/verify.h"

/* Of one walk over the entries. */
struct verify_tally {
    size_t entries;                 /* in Redis */
    size_t counts[VERIFY_OUTCOMES]; /* of those that were looked at */
    size_t relabelled;              /* of the differing: the right body under another tag */
    size_t failures_told;           /* failed statements that were printed */
};

/* One line on stdout. */
void verify_print_difference(struct span key, const struct verify_finding *finding);

/* One line on stderr for the first failed statements; the others are only counted. */
void verify_print_failure(struct verify_tally *tally, const struct verify_finding *finding);

/* The result of the walk, and why entries were skipped, with the routes' names where that is why.
 */
void verify_print_tally(const struct verify_tally *tally, struct live *live);

#endif
