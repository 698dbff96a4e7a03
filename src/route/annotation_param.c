#include "route/annotation.h"

static bool read_default(struct draft *draft, const struct word *word, struct span value,
                         void *field)
{
    struct declared *declared = field;
    (void)draft;
    declared->param.default_null = span_is(word->value, "null");
    if (!declared->param.default_null)
        declared->param.default_text = value;
    return true;
}

static bool read_place(struct draft *draft, const struct word *word, struct span value, void *field)
{
    struct declared *declared = field;
    int place = word_index(value, param_place_names, PLACE_HEADER + 1);
    if (place < 0) {
        draft_fault(draft, word->value, "@param: in=%.*s must be path, query, body or header",
                    SPAN_PRINTF(word->value));
        return false;
    }
    declared->param.place = (enum param_place)place;
    declared->place_given = true;
    return true;
}

static size_t items_count(struct span value)
{
    size_t count = 0;
    struct span item;
    while (value.data && value_item(&value, &item))
        count++;
    return count;
}

static bool read_choices(struct draft *draft, const struct word *word, struct span value,
                         void *field)
{
    struct declared *declared = field;
    if (!value.size) {
        draft_fault(draft, word->text, "@param: enum= must be values with commas between them");
        return false;
    }
    struct span *choices = arena_array(draft->arena, items_count(value) + 1, sizeof *choices);
    size_t count = 0;
    if (!choices)
        return draft_no_memory(draft);
    while (value.data) {
        if (!value_item(&value, &choices[count])) {
            draft_fault(draft, word->value,
                        "@param: enum=%.*s must be values with commas between them; one goes on "
                        "behind its closing quote",
                        SPAN_PRINTF(word->value));
            return false;
        }
        count++;
    }
    declared->param.choices = choices;
    declared->param.choice_count = count;
    return true;
}

#define PARAM_FIELD(name) offsetof(struct declared, param.name)

static const struct attribute param_attributes[] = {
    {.name = "default", .read = read_default},
    {.name = "min", .read = attribute_text, .offset = PARAM_FIELD(min)},
    {.name = "max", .read = attribute_text, .offset = PARAM_FIELD(max)},
    {.name = "maxlen", .read = attribute_count, .offset = PARAM_FIELD(maxlen)},
    {.name = "enum", .read = read_choices, .raw = true},
    {.name = "pattern", .read = attribute_text, .offset = PARAM_FIELD(pattern)},
    {.name = "in", .read = read_place},
};

static bool is_type_byte(char byte)
{
    char lower = (char)(byte | 0x20);
    return (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9') ||
           (byte && strchr("_.(), []", byte)) || (unsigned char)byte >= 0x80;
}

/* PostgreSQL's types of several words; others are one, and what follows is a slip. */
static bool type_words_fit(struct span name)
{
    static const char *const beginnings[] = {"timestamp", "time", "interval", "bit", "character"};
    size_t first = 0;
    while (first < name.size && name.data[first] != ' ' && name.data[first] != '\t' &&
           name.data[first] != '(')
        first++;
    bool several = span_find(name, ' ') < name.size && first < name.size && name.data[first] != '(';
    return !several || param_type_of_name(name) != TYPE_OTHER ||
           word_index(span_first(name, first), beginnings, ARRAY_COUNT(beginnings)) >= 0;
}

static bool type_set(struct draft *draft, struct param *param, struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (is_type_byte(text.data[i]))
            continue;
        draft_fault(draft, text,
                    "@param %s: \"%.*s\" is no type; write one as in int, text, uuid, date, int[] "
                    "or numeric(10,2)",
                    param->name, SPAN_PRINTF(text));
        return false;
    }
    param->array = text.size > 2 && memcmp(text.data + text.size - 2, "[]", 2) == 0;
    param->type_name = param->array ? span_trim(span_first(text, text.size - 2)) : text;
    if (!type_words_fit(param->type_name)) {
        draft_fault(draft, text,
                    "@param %s: \"%.*s\" is no type; behind a type stand default=, min=, max=, "
                    "maxlen=, enum=, pattern= and in=",
                    param->name, SPAN_PRINTF(text));
        return false;
    }
    if (span_find(param->type_name, '[') < param->type_name.size) {
        draft_fault(draft, text, "@param %s: arrays have one dimension, as in int[]", param->name);
        return false;
    }
    param->type = param_type_of_name(param->type_name);
    return true;
}

/* The words before the first name=value are the type: "double precision". */
static bool type_read(struct draft *draft, struct param *param, struct span *rest)
{
    struct span next = *rest, text = {0};
    struct word word;
    while (word_next(&next, &word) && !word.name.data) {
        if (!text.data)
            text.data = word.text.data;
        text.size = (size_t)(word.text.data + word.text.size - text.data);
        *rest = next;
    }
    return !text.data || type_set(draft, param, text);
}

static bool name_taken(const struct draft *draft, struct span name)
{
    for (const struct declared *other = draft->declared; other; other = other->next)
        if (span_is(name, other->param.name))
            return true;
    return false;
}

static bool name_check(struct draft *draft, struct span name)
{
    static const char *const reserved[] = {"now", "today", "auth", "body"};
    if (!path_is_name(name))
        draft_fault(draft, name,
                    "@param: \"%.*s\" is no name; one has small letters, digits and '_', and no "
                    "digit first",
                    SPAN_PRINTF(name));
    else if (word_index(name, reserved, ARRAY_COUNT(reserved)) >= 0)
        draft_fault(draft, name,
                    "@param: \"%.*s\" has a meaning of its own, as :now, :today, "
                    ":auth.x and :body do; use another name%s",
                    SPAN_PRINTF(name),
                    span_is(name, "body") ? ", or :body::jsonb->>'body' for a field called so"
                                          : "");
    else if (name_taken(draft, name))
        draft_fault(draft, name, "@param %.*s is declared twice", SPAN_PRINTF(name));
    else
        return true;
    return false;
}

static void settle(struct draft *draft, struct declared *declared)
{
    const char *problem = NULL;
    if (param_settle(&declared->param, draft->arena, &problem))
        return;
    if (problem)
        draft_fault(draft, declared->at, "@param %s: %s", declared->param.name, problem);
    else
        draft_no_memory(draft);
}

void annotate_param(struct draft *draft, struct span rest)
{
    struct word name;
    struct declared *declared = arena_alloc(draft->arena, sizeof *declared);
    if (!word_next(&rest, &name)) {
        draft_fault(draft, (struct span){0}, "@param needs a name, as in \"@param limit int\"");
        return;
    }
    if (!declared || !(declared->param.name = arena_text(draft->arena, name.text))) {
        draft_no_memory(draft);
        return;
    }
    bool good = name_check(draft, name.text);
    declared->at = name.text;
    declared->used = !good; /* one fault is enough */
    declared->param.line = draft->line;
    declared->param.maxlen = -1;
    good &= type_read(draft, &declared->param, &rest);
    good &= attributes_read(draft, rest, param_attributes, ARRAY_COUNT(param_attributes), declared);
    declared->param.required = !declared->param.default_text.data && !declared->param.default_null;
    if (good)
        settle(draft, declared);
    /* Kept with its faults too, so that its name has a source. */
    *draft->declared_end = declared;
    draft->declared_end = &declared->next;
}
