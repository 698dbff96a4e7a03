/*
 * Annotations whose behaviour comes with a later version: read and checked now, so that a file
 * written for it is not silently wrong.
 */
#include "route/annotation.h"
#include "route/sql_scan.h"

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

/* Content-Disposition's filename: nothing that needs escaping there, and no folder. */
static bool read_filename(struct draft *draft, const struct word *word, struct span value,
                          void *field)
{
    if (!attribute_text(draft, word, value, field))
        return false;
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] >= ' ' && value.data[i] <= '~' && !strchr("\"\\/", value.data[i]))
            continue;
        draft_fault(draft, word->value,
                    "@stream: filename=%.*s must be printable ASCII without quotes and slashes",
                    SPAN_PRINTF(word->value));
        return false;
    }
    return draft_refer_places(draft, value, false);
}

void annotate_stream(struct draft *draft, struct span rest)
{
    static const char *const words[] = {"csv", "ndjson"};
    struct span filename;
    const struct attribute rows[] = {{.name = "filename", .read = read_filename}};
    if (draft_choice(draft, &rest, words, ARRAY_COUNT(words), "csv or ndjson") < 0 ||
        !attributes_read(draft, rest, rows, ARRAY_COUNT(rows), &filename))
        return;
}

static bool read_columns(struct draft *draft, const struct word *word, struct span value,
                         void *field)
{
    if (!attribute_text(draft, word, value, field))
        return false;
    for (struct span rest = value; rest.data;) {
        if (draft_is_identifier(span_split(&rest, ',')))
            continue;
        draft_fault(draft, word->value,
                    "@page: by=%.*s must be columns with commas between them, as in "
                    "by=created_at,id",
                    SPAN_PRINTF(word->value));
        return false;
    }
    return true;
}

void annotate_page(struct draft *draft, struct span rest)
{
    struct span by;
    const struct attribute rows[] = {{.name = "by", .read = read_columns, .required = true}};
    if (!attributes_read(draft, rest, rows, ARRAY_COUNT(rows), &by))
        return;
}
