#include "http/query.h"

#include "base/utf8.h"
#include "http/target.h"

/* How much of a client's text an error repeats. */
#define SHOWN_MAX 64

static bool part_read(struct span raw, struct arena *arena, struct span *ret_part,
                      struct error *error)
{
    struct span part;
    if (!percent_decode(raw, true, arena, &part, error))
        return false;
    if (!utf8_valid(part)) {
        struct span shown = span_first(raw, raw.size < SHOWN_MAX ? raw.size : SHOWN_MAX);
        return error_set(error, ERROR_INVALID, "\"%.*s\" among the parameters must be UTF-8",
                         SPAN_PRINTF(shown));
    }
    *ret_part = part;
    return true;
}

static bool pair_read(struct span raw, struct arena *arena, struct query_pair *ret_pair,
                      struct error *error)
{
    struct span name, value = raw;
    struct query_pair pair = {0};
    name = span_split(&value, '=');
    pair.has_value = value.data != NULL;
    if (!part_read(name, arena, &pair.name, error) || !part_read(value, arena, &pair.value, error))
        return false;
    *ret_pair = pair;
    return true;
}

bool query_parse(struct span raw, struct arena *arena, struct query_pair *pairs, size_t max,
                 size_t *ret_count, struct error *error)
{
    size_t count = 0;
    while (raw.data) {
        struct span pair = span_split(&raw, '&');
        if (!pair.size)
            continue;
        if (count == max)
            return error_set(error, ERROR_INVALID, "too many parameters: at most %zu are allowed",
                             max);
        if (!pair_read(pair, arena, &pairs[count++], error))
            return false;
    }
    *ret_count = count;
    return true;
}
