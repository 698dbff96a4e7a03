/*
 * Annotations whose behaviour comes with a later version: read and checked now, so that a file
 * written for it is not silently wrong.
 */
#include "route/annotation.h"
#include "route/sql_scan.h"

/* The first word, one of `words`; -1 after a fault. */
static int first_word(struct draft *draft, struct span *rest, const char *const *words,
                      size_t count, const char *allowed)
{
    struct word word = {.text = {0}};
    bool given = word_next(rest, &word);
    int index = given ? word_index(word.text, words, count) : -1;
    if (index < 0)
        draft_fault(draft, word.text, "%s: \"%.*s\" must be %s", draft->word,
                    SPAN_PRINTF(word.text), allowed);
    return index;
}

void annotate_auth(struct draft *draft, struct span rest)
{
    static const char *const words[] = {"none", "optional", "required"};
    struct {
        struct span role;
        bool rls;
    } auth = {0};
    const struct attribute rows[] = {
        {.name = "role", .read = attribute_text, .offset = offsetof(__typeof__(auth), role)},
        {.name = "rls", .flag = true, .offset = offsetof(__typeof__(auth), rls)},
    };
    int kind = first_word(draft, &rest, words, ARRAY_COUNT(words), "none, optional or required");
    if (kind < 0)
        return;
    struct span behind = words_rest(rest);
    if (!attributes_read(draft, rest, rows, ARRAY_COUNT(rows), &auth))
        return;
    if (kind == 0 && behind.size)
        draft_fault(draft, behind, "@auth none: role= and rls need optional or required");
    if (kind > 0) {
        draft_unserved(draft, UNSERVED_AUTH);
        draft->signed_in = true;
    }
}

static bool rate_is_good(struct span rate)
{
    static const char *const units[] = {"s",      "sec", "second", "m", "min",
                                        "minute", "h",   "hour",   "d", "day"};
    struct span unit = rate;
    struct span number = span_split(&unit, '/');
    for (size_t i = 0; i < number.size; i++)
        if (number.data[i] < '0' || number.data[i] > '9')
            return false;
    return unit.data && number.size > 0 && number.size < 10 && number.data[0] != '0' &&
           word_index(unit, units, ARRAY_COUNT(units)) >= 0;
}

/* ip, user, or the name of a parameter. */
static bool read_by(struct draft *draft, const struct word *word, struct span value, void *field)
{
    if (!attribute_text(draft, word, value, field))
        return false;
    if (!path_is_name(value)) {
        draft_fault(draft, word->value, "@limit: by=%.*s must be ip, user or a parameter's name",
                    SPAN_PRINTF(word->value));
        return false;
    }
    if (!span_is(value, "ip") && !span_is(value, "user"))
        draft_refer(draft, value, false);
    return true;
}

void annotate_limit(struct draft *draft, struct span rest)
{
    struct {
        struct span by;
        int64_t burst;
    } limit;
    const struct attribute rows[] = {
        {.name = "by",
         .read = read_by,
         .offset = offsetof(__typeof__(limit), by),
         .required = true},
        {.name = "burst", .read = attribute_count, .offset = offsetof(__typeof__(limit), burst)},
    };
    struct word rate = {.text = {0}};
    if (!word_next(&rest, &rate) || !rate_is_good(rate.text)) {
        draft_fault(draft, rate.text,
                    "@limit: \"%.*s\" must be a number and s, min, hour or day, as in 100/min",
                    SPAN_PRINTF(rate.text));
        return;
    }
    if (!attributes_read(draft, rest, rows, ARRAY_COUNT(rows), &limit))
        return;
}

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
    if (first_word(draft, &rest, words, ARRAY_COUNT(words), "csv or ndjson") < 0 ||
        !attributes_read(draft, rest, rows, ARRAY_COUNT(rows), &filename))
        return;
}

/* {name} places may also be fields of the body. */
static bool read_kv_text(struct draft *draft, const struct word *word, struct span value,
                         void *field)
{
    return attribute_text(draft, word, value, field) && draft_refer_places(draft, value, true);
}

struct kv {
    struct span key, value;
    int64_t ttl;
};

static const struct attribute kv_attributes[] = {
    {.name = "key", .read = read_kv_text, .offset = offsetof(struct kv, key), .required = true},
    {.name = "value", .read = read_kv_text, .offset = offsetof(struct kv, value), .required = true},
    {.name = "ttl", .read = attribute_duration_positive, .offset = offsetof(struct kv, ttl)},
};

void annotate_kv(struct draft *draft, struct span rest)
{
    static const char *const words[] = {"set", "get", "delete"};
    struct kv kv = {.ttl = 0};
    int kind = first_word(draft, &rest, words, ARRAY_COUNT(words), "set, get or delete");
    draft->kv = kind < 0 ? "" : words[kind];
    draft->kv_line = draft->line;
    /* Only set has a value and a ttl. */
    size_t rows = kind == 0 ? ARRAY_COUNT(kv_attributes) : 1;
    if (kind < 0 || !attributes_read(draft, rest, kv_attributes, rows, &kv))
        return;
}

void annotate_location(struct draft *draft, struct span rest)
{
    struct span text = words_rest(rest), at = text;
    struct path path;
    const char *problem = NULL;
    if (path_parse(text, draft->arena, &path, &at, &problem))
        return;
    if (problem)
        draft_fault(draft, at.size ? at : (struct span){0}, "@location: \"%.*s\": %s",
                    SPAN_PRINTF(at), problem);
    else
        draft_no_memory(draft);
}

static bool is_identifier(struct span text)
{
    return text.size && sql_is_word_start(text.data[0]) && sql_scan_word(text, 0) == text.size;
}

void annotate_version(struct draft *draft, struct span rest)
{
    struct word column = {.text = {0}}, required;
    bool good = word_next(&rest, &column) && is_identifier(column.text);
    if (good && word_next(&rest, &required))
        good = span_is(required.text, "required");
    if (!good)
        draft_fault(draft, column.text,
                    "@version needs a column's name, and perhaps \"required\" behind it");
    else
        draft_end(draft, rest);
}

static bool read_columns(struct draft *draft, const struct word *word, struct span value,
                         void *field)
{
    if (!attribute_text(draft, word, value, field))
        return false;
    for (struct span rest = value; rest.data;) {
        if (is_identifier(span_split(&rest, ',')))
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
