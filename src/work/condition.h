/*
 * Something that is well or not, told in the log when it changes and not in between.
 */
#ifndef LARDER_WORK_CONDITION_H
#define LARDER_WORK_CONDITION_H

#include <stdbool.h>

/* All zeros: well. */
struct condition {
    bool bad;
};

/* Logs `text` as a warning of `event` if it was well until now. */
void condition_bad(struct condition *condition, const char *event, const char *text);

/* Logs `text` if it was not well until now. */
void condition_good(struct condition *condition, const char *event, const char *text);

#endif
