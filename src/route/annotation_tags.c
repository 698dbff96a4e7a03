#include "route/annotation.h"

/* Tags a route may have. */
#define LINES_MAX 100

/* Each tag is a word of letters, digits and -._:/ with {name} places; nothing else reaches Redis.
 */
static bool tag_check(struct draft *draft, struct span tag)
{
    for (size_t i = 0; i < tag.size; i++) {
        char lower = (char)(tag.data[i] | 0x20);
        bool allowed = (lower >= 'a' && lower <= 'z') ||
                       (tag.data[i] >= '0' && tag.data[i] <= '9') ||
                       (tag.data[i] && strchr("-._:/{}", tag.data[i]));
        if (allowed)
            continue;
        draft_fault(draft, tag,
                    "%s: \"%.*s\" is no tag; one has letters, digits, -._:/ and {name} places",
                    draft->word, SPAN_PRINTF(tag));
        return false;
    }
    return draft_refer_places(draft, tag, false);
}

static size_t tags_count(struct span rest)
{
    size_t count = 0;
    struct word word;
    while (word_next(&rest, &word))
        count++;
    return count;
}

/* Reads the line's tags behind the `count` there are already. */
static void tags_read(struct draft *draft, struct span rest, struct route_tag **tags, size_t *count)
{
    size_t more = tags_count(rest);
    if (*count + more > LINES_MAX) {
        draft_fault(draft, (struct span){0}, "%s: a route has at most %d tags", draft->word,
                    LINES_MAX);
        return;
    }
    if (!more) {
        draft_fault(draft, (struct span){0}, "%s needs at least one tag, as in \"feed:{id}\"",
                    draft->word);
        return;
    }
    struct route_tag *grown = arena_array(draft->arena, *count + more, sizeof *grown);
    if (!grown) {
        draft_no_memory(draft);
        return;
    }
    if (*count)
        memcpy(grown, *tags, *count * sizeof *grown);
    struct word word;
    while (word_next(&rest, &word))
        if (tag_check(draft, word.text))
            grown[(*count)++].text = word.text;
    *tags = grown;
}

void annotate_tags(struct draft *draft, struct span rest)
{
    tags_read(draft, rest, &draft->route->tags, &draft->route->tag_count);
}

void annotate_invalidates(struct draft *draft, struct span rest)
{
    tags_read(draft, rest, &draft->route->invalidates, &draft->route->invalidate_count);
}
