/*
 * Writes that are made in batches: @behind.
 */
#include "route/annotation.h"

/* Where bound= is not given. */
#define BOUND 10000

/* A write waits for others so long at most: µs. */
#define EVERY_MOST (3600 * INT64_C(1000000))

static bool read_full(struct draft *draft, const struct word *word, struct span value, void *field)
{
    static const char *const words[] = {"refuse", "now"};
    int chosen = word_index(value, words, ARRAY_COUNT(words));
    if (chosen < 0)
        draft_fault(draft, word->value, "@behind: full=%.*s must be refuse or now",
                    SPAN_PRINTF(word->value));
    else
        *(bool *)field = chosen == 1;
    return chosen >= 0;
}

static bool read_every(struct draft *draft, const struct word *word, struct span value, void *field)
{
    return attribute_duration_within(draft, word, value, EVERY_MOST, "from 1ms to 1h", field);
}

void annotate_behind(struct draft *draft, struct span rest)
{
    struct route_behind behind = {.present = true, .bound = BOUND};
    const struct attribute rows[] = {
        {.name = "batch",
         .read = attribute_count,
         .offset = offsetof(struct route_behind, batch),
         .required = true},
        {.name = "every",
         .read = read_every,
         .offset = offsetof(struct route_behind, every),
         .required = true},
        {.name = "bound", .read = attribute_count, .offset = offsetof(struct route_behind, bound)},
        {.name = "full", .read = read_full, .offset = offsetof(struct route_behind, full_now)},
    };
    if (!attributes_read(draft, rest, rows, ARRAY_COUNT(rows), &behind))
        return;
    if (behind.batch > BEHIND_BATCH_MAX)
        draft_fault(draft, (struct span){0}, "@behind: batch=%lld must be at most %d",
                    (long long)behind.batch, BEHIND_BATCH_MAX);
    else if (behind.batch > behind.bound)
        draft_fault(draft, (struct span){0},
                    "@behind: bound=%lld must be at least batch=%lld, or no batch is ever full",
                    (long long)behind.bound, (long long)behind.batch);
    draft->route->behind = behind;
}
