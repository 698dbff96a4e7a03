#include "route/annotation.h"
#include "route/path.h"

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

struct limit_words {
    struct span by;
    int64_t burst;
};

void annotate_limit(struct draft *draft, struct span rest)
{
    struct limit_words limit = {.burst = 0};
    const struct attribute rows[] = {
        {.name = "by",
         .read = read_by,
         .offset = offsetof(struct limit_words, by),
         .required = true},
        {.name = "burst", .read = attribute_count, .offset = offsetof(struct limit_words, burst)},
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
