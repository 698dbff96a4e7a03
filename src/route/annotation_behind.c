/*
 * Writes that are made in batches: @behind.
 */
#include "route/annotation.h"

void annotate_behind(struct draft *draft, struct span rest)
{
    struct {
        int64_t batch, every;
    } behind;
    const struct attribute rows[] = {
        {.name = "batch",
         .read = attribute_count,
         .offset = offsetof(__typeof__(behind), batch),
         .required = true},
        {.name = "every",
         .read = attribute_duration_positive,
         .offset = offsetof(__typeof__(behind), every),
         .required = true},
    };
    if (!attributes_read(draft, rest, rows, ARRAY_COUNT(rows), &behind))
        return;
}
