/*
 * Values that Redis alone keeps.
 */
#include "route/annotation.h"
#include "route/template.h"

/* {name} places may also be fields of the body. */
static bool read_kv_text(struct draft *draft, const struct word *word, struct span value,
                         void *field)
{
    return attribute_text(draft, word, value, field) && draft_refer_places(draft, value, true);
}

/* Two places that touch could make one key of different values: "1" and "23" of "12" and "3". */
static bool places_apart(struct span text)
{
    struct span literal, name = {0};
    bool first = true, apart = true;
    while (template_next(&text, &literal, &name)) {
        apart = apart && (first || !name.data || template_separates(literal));
        first = false;
    }
    return apart;
}

static bool read_kv_key(struct draft *draft, const struct word *word, struct span value,
                        void *field)
{
    if (!read_kv_text(draft, word, value, field))
        return false;
    if (places_apart(value))
        return true;
    draft_fault(draft, word->text,
                "@kv: key=%.*s must have a sign between its places, such as ':' or '/'",
                SPAN_PRINTF(value));
    return false;
}

static const struct attribute kv_attributes[] = {
    {.name = "key",
     .read = read_kv_key,
     .offset = offsetof(struct route_kv, key),
     .required = true},
    {.name = "value",
     .read = read_kv_text,
     .offset = offsetof(struct route_kv, value),
     .required = true},
    {.name = "ttl", .read = attribute_duration_positive, .offset = offsetof(struct route_kv, ttl)},
};

void annotate_kv(struct draft *draft, struct span rest)
{
    static const char *const words[] = {"set", "get", "delete"};
    struct route_kv kv = {.kind = KV_NONE};
    int kind = draft_choice(draft, &rest, words, ARRAY_COUNT(words), "set, get or delete");
    draft->kv = kind < 0 ? "" : words[kind];
    draft->kv_line = draft->line;
    /* Only set has a value and a ttl. */
    size_t rows = kind == 0 ? ARRAY_COUNT(kv_attributes) : 1;
    if (kind < 0 || !attributes_read(draft, rest, kv_attributes, rows, &kv))
        return;
    kv.kind = (enum route_kv_kind)(kind + 1);
    draft->route->kv = kv;
}
