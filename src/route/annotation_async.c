/*
 * Writes that a daemon makes later: @async.
 */
#include "route/annotation.h"

/* How often a job that failed is tried again where the file does not say. */
#define RETRIES_DEFAULT 5

/* As @timeout has it: µs. */
#define TIMEOUT_MOST (86400 * INT64_C(1000000))

/* {name} places may also be fields of the body. */
static bool read_dedupe(struct draft *draft, const struct word *word, struct span value,
                        void *field)
{
    return attribute_text(draft, word, value, field) && draft_refer_places(draft, value, true);
}

static bool read_timeout(struct draft *draft, const struct word *word, struct span value,
                         void *field)
{
    return attribute_duration_within(draft, word, value, TIMEOUT_MOST, "from 1ms to 1d", field);
}

static const struct attribute async_attributes[] = {
    {.name = "prefer", .offset = offsetof(struct route_async, preferred), .flag = true},
    {.name = "retries",
     .read = attribute_count_or_zero,
     .offset = offsetof(struct route_async, retries)},
    {.name = "timeout", .read = read_timeout, .offset = offsetof(struct route_async, timeout)},
    {.name = "dedupe", .read = read_dedupe, .offset = offsetof(struct route_async, dedupe)},
};

void annotate_async(struct draft *draft, struct span rest)
{
    struct route_async async = {.present = true, .retries = RETRIES_DEFAULT};
    if (attributes_read(draft, rest, async_attributes, ARRAY_COUNT(async_attributes), &async))
        draft->route->async = async;
}
