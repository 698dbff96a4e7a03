/*
 * Pages that follow a key: @page.
 */
#include "route/annotation.h"
#include "route/sql_scan.h"

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
