#include "route/annotation.h"
#include "route/sql_scan.h"

/* Tags, and @depends lines, a route may have. */
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

/* The end of an identifier, plain or in double quotes; `at` itself when there is none. */
static size_t identifier_end(struct span text, size_t at)
{
    if (sql_byte(text, at) == '"') {
        size_t end = sql_scan_quoted(text, at);
        return end == SCAN_OPEN || end == at + 2 ? at : end;
    }
    return sql_is_word_start(sql_byte(text, at)) ? sql_scan_word(text, at) : at;
}

/* "table.column" or "schema.table.column": false when it is neither. */
static bool column_split(struct span text, struct route_depend *depend)
{
    size_t parts = 0, at = 0, begin = 0;
    for (;; at++) {
        begin = at;
        at = identifier_end(text, at);
        if (at == begin)
            return false;
        parts++;
        if (at == text.size)
            break;
        if (text.data[at] != '.')
            return false;
    }
    if (parts < 2 || parts > 3)
        return false;
    depend->table = span_first(text, begin - 1);
    depend->column = span_from(text, begin);
    return true;
}

static bool value_split(struct draft *draft, struct span text, struct route_depend *depend)
{
    depend->by_param = span_starts(text, ":");
    depend->value = depend->by_param ? span_from(text, 1) : text;
    if (depend->by_param && depend->value.size && sql_is_word_start(depend->value.data[0])) {
        draft_refer(draft, depend->value, false);
        return true;
    }
    return !depend->by_param && text.size && identifier_end(text, 0) == text.size;
}

static bool depend_parse(struct draft *draft, struct span text, struct route_depend *depend)
{
    size_t equal = span_find(text, '=');
    if (equal == text.size)
        return false;
    return column_split(span_trim(span_first(text, equal)), depend) &&
           value_split(draft, span_trim(span_from(text, equal + 1)), depend);
}

void annotate_depends(struct draft *draft, struct span rest)
{
    struct span text = words_rest(rest);
    struct route_depend depend = {.line = draft->line};
    struct route *route = draft->route;
    if (route->depend_count == LINES_MAX) {
        draft_fault(draft, text, "a route has at most %d @depends", LINES_MAX);
        return;
    }
    if (!depend_parse(draft, text, &depend)) {
        draft_fault(draft, text.size ? text : (struct span){0},
                    "@depends: \"%.*s\" must be table.column = :param or table.column = column",
                    SPAN_PRINTF(text));
        return;
    }
    struct route_depend *grown = arena_array(draft->arena, route->depend_count + 1, sizeof *grown);
    if (!grown) {
        draft_no_memory(draft);
        return;
    }
    if (route->depend_count)
        memcpy(grown, route->depends, route->depend_count * sizeof *grown);
    grown[route->depend_count++] = depend;
    route->depends = grown;
}
