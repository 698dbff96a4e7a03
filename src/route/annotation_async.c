/*
 * Writes that a daemon makes later: @async.
 */
#include "route/annotation.h"

void annotate_async(struct draft *draft, struct span rest)
{
    struct {
        int64_t retries, timeout;
        struct span dedupe;
    } async;
    const struct attribute rows[] = {
        {.name = "retries",
         .read = attribute_count_or_zero,
         .offset = offsetof(__typeof__(async), retries)},
        {.name = "timeout",
         .read = attribute_duration_positive,
         .offset = offsetof(__typeof__(async), timeout)},
        {.name = "dedupe",
         .read = attribute_template,
         .offset = offsetof(__typeof__(async), dedupe)},
    };
    if (!attributes_read(draft, rest, rows, ARRAY_COUNT(rows), &async))
        return;
}
