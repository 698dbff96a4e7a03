/*
 * @limit: how often one may ask.
 */
#include "route/annotation.h"
#include "route/path.h"

#define SECOND INT64_C(1000000)

/* A burst that takes longer to come back than this is taken for a slip. */
#define REFILL_MAX (INT64_C(366) * 86400 * SECOND)

static const struct unit {
    const char *name;
    int64_t period; /* µs */
} units[] = {
    {"s", SECOND},         {"sec", SECOND},         {"second", SECOND},   {"m", 60 * SECOND},
    {"min", 60 * SECOND},  {"minute", 60 * SECOND}, {"h", 3600 * SECOND}, {"hour", 3600 * SECOND},
    {"d", 86400 * SECOND}, {"day", 86400 * SECOND},
};

/* A number from 1 to 999999999. */
static bool number_read(struct span text, int64_t *ret_number)
{
    uint64_t number;
    if (text.size > 9 || !span_number(text, 999999999, &number))
        return false;
    *ret_number = (int64_t)number;
    return number > 0;
}

static bool rate_read(struct span rate, struct route_limit *limit)
{
    struct span unit = rate;
    struct span number = span_split(&unit, '/');
    if (!unit.data || number.size == 0 || number.data[0] == '0' ||
        !number_read(number, &limit->count))
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        if (!span_is(unit, units[i].name))
            continue;
        limit->period = units[i].period;
        return true;
    }
    return false;
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

static void limit_add(struct draft *draft, const struct route_limit *limit)
{
    struct route *route = draft->route;
    if (!route->limits)
        route->limits = arena_array(draft->arena, ROUTE_LIMITS_MAX, sizeof *route->limits);
    if (!route->limits)
        draft_no_memory(draft);
    else if (route->limit_count == ROUTE_LIMITS_MAX)
        draft_fault(draft, (struct span){0}, "@limit: a route has at most %d of them",
                    ROUTE_LIMITS_MAX);
    else
        route->limits[route->limit_count++] = *limit;
}

static void limit_take(struct draft *draft, struct span rate, const struct limit_words *words,
                       struct route_limit *limit)
{
    limit->burst = words->burst ? words->burst : limit->count;
    limit->line = draft->line;
    limit->by = span_is(words->by, "ip")     ? LIMIT_BY_IP
                : span_is(words->by, "user") ? LIMIT_BY_USER
                                             : LIMIT_BY_PARAM;
    if (limit->by == LIMIT_BY_PARAM)
        limit->param = words->by;
    if (limit->burst / limit->count >= REFILL_MAX / limit->period)
        draft_fault(draft, rate, "@limit: burst=%lld is more than %.*s gives back in a year",
                    (long long)limit->burst, SPAN_PRINTF(rate));
    else
        limit_add(draft, limit);
}

void annotate_limit(struct draft *draft, struct span rest)
{
    struct limit_words words = {.burst = 0};
    struct route_limit limit = {0};
    const struct attribute rows[] = {
        {.name = "by",
         .read = read_by,
         .offset = offsetof(struct limit_words, by),
         .required = true},
        {.name = "burst", .read = attribute_count, .offset = offsetof(struct limit_words, burst)},
    };
    struct word rate = {.text = {0}};
    if (!word_next(&rest, &rate) || !rate_read(rate.text, &limit)) {
        draft_fault(draft, rate.text,
                    "@limit: \"%.*s\" must be a number and s, min, hour or day, as in 100/min",
                    SPAN_PRINTF(rate.text));
        return;
    }
    if (attributes_read(draft, rest, rows, ARRAY_COUNT(rows), &words))
        limit_take(draft, rate.text, &words, &limit);
}

/* Counted before the body is read, so by nothing in it; and by nothing that each request has. */
static bool countable(enum param_place place)
{
    return place == PLACE_PATH || place == PLACE_QUERY || place == PLACE_HEADER;
}

void limits_settle(struct draft *draft)
{
    struct route *route = draft->route;
    for (size_t i = 0; i < route->limit_count; i++) {
        struct route_limit *limit = &route->limits[i];
        while (limit->by == LIMIT_BY_PARAM && limit->param_at < route->param_count &&
               !span_is(limit->param, route->params[limit->param_at].name))
            limit->param_at++;
        if (limit->by != LIMIT_BY_PARAM || limit->param_at == route->param_count)
            continue;
        if (countable(route->params[limit->param_at].place))
            continue;
        draft->line = limit->line;
        draft_fault(draft, (struct span){0},
                    "@limit: by=%.*s must be in the path, the query or a header: a request is "
                    "counted before its body is read",
                    SPAN_PRINTF(limit->param));
    }
}
