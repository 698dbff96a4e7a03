/*
 * Downloads: @stream.
 */
#include "route/annotation.h"

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
