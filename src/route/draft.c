#include "route/draft.h"

#include "base/duration.h"
#include "route/sql_scan.h"

void draft_fault(struct draft *draft, struct span at, const char *format, ...)
{
    va_list arguments;
    struct place place = {.line = draft->line, .column = 0};
    if (at.data) {
        size_t offset = (size_t)(at.data - draft->text.data);
        if (offset < draft->place.offset)
            draft->place = PLACE_START;
        place_advance(&draft->place, draft->text, offset);
        place = draft->place;
    }
    va_start(arguments, format);
    fault_add_arguments(draft->faults, draft->file, place.line, place.column, format, arguments);
    va_end(arguments);
}

bool draft_no_memory(struct draft *draft)
{
    draft->faults->failed = true;
    return false;
}

void draft_refer(struct draft *draft, struct span name, bool source)
{
    struct reference *reference = arena_alloc(draft->arena, sizeof *reference);
    if (!reference) {
        draft_no_memory(draft);
        return;
    }
    *reference = (struct reference){.name = name, .source = source};
    *draft->references_end = reference;
    draft->references_end = &reference->next;
}

/* A parameter's name, or auth.claim. */
static bool is_reference(struct span name)
{
    struct span rest = name;
    struct span first = span_split(&rest, '.');
    if (!rest.data)
        return path_is_name(first);
    for (size_t i = 0; i < rest.size; i++)
        if (strchr(" \t{}:", rest.data[i]))
            return false;
    return span_is(first, "auth") && rest.size > 0;
}

bool draft_refer_places(struct draft *draft, struct span text, bool source)
{
    while (text.size) {
        size_t open = span_find(text, '{'), close = span_find(text, '}');
        if (open == text.size && close == text.size)
            return true;
        struct span name = {0};
        if (open < close && close < text.size)
            name = (struct span){.data = text.data + open + 1, .size = close - open - 1};
        if (!name.data || !is_reference(name)) {
            draft_fault(draft, span_from(text, open < close ? open : close),
                        "%s: a place is written {name}, with small letters, digits and '_'",
                        draft->word);
            return false;
        }
        draft_refer(draft, name, source);
        text = span_from(text, close + 1);
    }
    return true;
}

void draft_end(struct draft *draft, struct span rest)
{
    rest = span_trim(rest);
    if (rest.size)
        draft_fault(draft, rest, "%s: \"%.*s\" is one word too many", draft->word,
                    SPAN_PRINTF(rest));
}

/* "ttl=, stale=, rls" */
static const char *attributes_list(struct draft *draft, const struct attribute *rows, size_t count)
{
    const char *list = "";
    for (size_t i = 0; i < count && list; i++)
        list = arena_format(draft->arena, "%s%s%s%s", list, i ? ", " : "", rows[i].name,
                            rows[i].flag ? "" : "=");
    if (!list)
        draft_no_memory(draft);
    return list ? list : "";
}

static const struct attribute *attribute_find(const struct word *word, const struct attribute *rows,
                                              size_t count)
{
    struct span name = word->name.data ? word->name : word->text;
    for (size_t i = 0; i < count; i++)
        if (span_is(name, rows[i].name) && rows[i].flag == !word->name.data)
            return &rows[i];
    return NULL;
}

static bool attribute_read(struct draft *draft, const struct word *word,
                           const struct attribute *row, void *target)
{
    void *field = (char *)target + row->offset;
    struct span value = word->value;
    if (row->flag) {
        *(bool *)field = true;
        return true;
    }
    if (word->open) {
        draft_fault(draft, word->value, "%s: the quote in %s= is not closed", draft->word,
                    row->name);
        return false;
    }
    if (!row->raw && !value_unquote(word->value, &value)) {
        draft_fault(draft, word->value, "%s: %s= goes on behind its closing quote", draft->word,
                    row->name);
        return false;
    }
    return row->read(draft, word, value, field);
}

static bool attributes_complete(struct draft *draft, const struct attribute *rows, size_t count,
                                unsigned seen)
{
    bool complete = true;
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].required || seen & 1u << i)
            continue;
        draft_fault(draft, (struct span){0}, "%s: %s= is missing", draft->word, rows[i].name);
        complete = false;
    }
    return complete;
}

bool attributes_read(struct draft *draft, struct span rest, const struct attribute *rows,
                     size_t count, void *target)
{
    struct word word;
    unsigned seen = 0;
    bool good = true;
    while (word_next(&rest, &word)) {
        const struct attribute *row = attribute_find(&word, rows, count);
        unsigned bit = row ? 1u << (row - rows) : 0;
        if (!row)
            draft_fault(draft, word.text, "%s: \"%.*s\" is unknown; allowed: %s", draft->word,
                        SPAN_PRINTF(word.text), attributes_list(draft, rows, count));
        else if (seen & bit)
            draft_fault(draft, word.text, "%s: %s stands here twice", draft->word, row->name);
        good &= row && !(seen & bit) && attribute_read(draft, &word, row, target);
        seen |= bit;
    }
    return attributes_complete(draft, rows, count, seen) && good;
}

static bool value_fault(struct draft *draft, const struct word *word, const char *allowed)
{
    draft_fault(draft, word->value, "%s: %.*s=%.*s must be %s", draft->word,
                SPAN_PRINTF(word->name), SPAN_PRINTF(word->value), allowed);
    return false;
}

bool attribute_duration(struct draft *draft, const struct word *word, struct span value,
                        void *field)
{
    struct error error;
    if (duration_parse(value, field, &error))
        return true;
    draft_fault(draft, word->value, "%s: %.*s= %s", draft->word, SPAN_PRINTF(word->name),
                error.text);
    return false;
}

bool attribute_duration_positive(struct draft *draft, const struct word *word, struct span value,
                                 void *field)
{
    int64_t duration;
    if (!attribute_duration(draft, word, value, &duration))
        return false;
    if (duration <= 0)
        return value_fault(draft, word, "a duration above 0, as in 5s");
    *(int64_t *)field = duration;
    return true;
}

bool attribute_duration_within(struct draft *draft, const struct word *word, struct span value,
                               int64_t most, const char *wanted, int64_t *ret_duration)
{
    int64_t duration;
    if (!attribute_duration(draft, word, value, &duration))
        return false;
    if (duration < 1000 || duration > most)
        return value_fault(draft, word, wanted);
    *ret_duration = duration;
    return true;
}

static bool count_read(struct span value, int64_t least, int64_t *ret_count)
{
    uint64_t count;
    if (value.size > 10 || !span_number(value, 1000000000, &count) || (int64_t)count < least)
        return false;
    *ret_count = (int64_t)count;
    return true;
}

bool attribute_count(struct draft *draft, const struct word *word, struct span value, void *field)
{
    return count_read(value, 1, field) ||
           value_fault(draft, word, "a whole number from 1 to 1000000000");
}

bool attribute_count_or_zero(struct draft *draft, const struct word *word, struct span value,
                             void *field)
{
    return count_read(value, 0, field) ||
           value_fault(draft, word, "a whole number from 0 to 1000000000");
}

bool attribute_switch(struct draft *draft, const struct word *word, struct span value, void *field)
{
    bool on = span_is(value, "on");
    if (!on && !span_is(value, "off"))
        return value_fault(draft, word, "on or off");
    *(bool *)field = on;
    return true;
}

bool attribute_text(struct draft *draft, const struct word *word, struct span value, void *field)
{
    if (value.size == 0)
        return value_fault(draft, word, "a text that is not empty");
    *(struct span *)field = value;
    return true;
}

int word_index(struct span text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (span_is(text, words[i]))
            return (int)i;
    return -1;
}

int draft_choice(struct draft *draft, struct span *rest, const char *const *words, size_t count,
                 const char *allowed)
{
    struct word word = {.text = {0}};
    bool given = word_next(rest, &word);
    int index = given ? word_index(word.text, words, count) : -1;
    if (index < 0)
        draft_fault(draft, word.text, "%s: \"%.*s\" must be %s", draft->word,
                    SPAN_PRINTF(word.text), allowed);
    return index;
}

bool draft_is_identifier(struct span text)
{
    return text.size && sql_is_word_start(text.data[0]) && sql_scan_word(text, 0) == text.size;
}
