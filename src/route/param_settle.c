#include "route/param.h"

#include "route/param_rules.h"

static const char *type_word(const struct param *param)
{
    return param_types[param->type].name;
}

/* Whether each constraint fits the type at all. */
static bool constraints_fit(const struct param *param, struct arena *arena,
                            const char **ret_problem)
{
    const struct param_rules *rules = &param_rules[param->type];
    bool bounds = param->min.data || param->max.data;
    const char *word = param->min.data ? "min" : "max";
    *ret_problem = NULL;
    if (bounds && param->type == TYPE_UNKNOWN)
        *ret_problem = arena_format(arena, "%s= needs a type, as in \"@param %s int %s=1\"", word,
                                    param->name, word);
    else if (bounds && !rules->order)
        *ret_problem = arena_format(arena,
                                    "%s= fits smallint, integer, bigint, numeric, real, double "
                                    "precision, date, timestamp and timestamptz, not %s",
                                    word, type_word(param));
    else if ((param->maxlen >= 0 || param->pattern.data) && !rules->words)
        *ret_problem = arena_format(arena, "%s= fits text, not %s",
                                    param->maxlen >= 0 ? "maxlen" : "pattern", type_word(param));
    else if (param->choice_count && rules->whole)
        *ret_problem = arena_format(arena, "enum= doesn't fit %s", type_word(param));
    else
        return true;
    return false;
}

/* "min= must be a whole number …"; null stays null. */
static const char *problem_of(const char *word, const char *problem, struct arena *arena)
{
    return problem ? arena_format(arena, "%s= %s", word, problem) : NULL;
}

/* Reads one text by the constraints in `bounds` alone. */
static bool text_settle(const struct param *bounds, const char *word, struct span *text,
                        struct arena *arena, const char **ret_problem)
{
    if (!text->data || param_read_scalar(bounds, bounds->type, *text, arena, text, ret_problem))
        return true;
    *ret_problem = problem_of(word, *ret_problem, arena);
    return false;
}

static bool bounds_settle(struct param *param, const struct param *free, struct arena *arena,
                          const char **ret_problem)
{
    if (!text_settle(free, "min", &param->min, arena, ret_problem) ||
        !text_settle(free, "max", &param->max, arena, ret_problem))
        return false;
    if (!param->min.data || !param->max.data ||
        param_rules[param->type].order(param->min, param->max) <= 0)
        return true;
    *ret_problem = arena_format(arena, "min=%.*s is above max=%.*s", SPAN_PRINTF(param->min),
                                SPAN_PRINTF(param->max));
    return false;
}

/* The choices keep to all other constraints. The list is made anew: a copy's may be shared. */
static bool choices_settle(struct param *param, struct arena *arena, const char **ret_problem)
{
    struct param others = *param;
    others.choice_count = 0;
    if (!param->choice_count)
        return true;
    struct span *choices = arena_array(arena, param->choice_count, sizeof *choices);
    *ret_problem = NULL;
    if (!choices)
        return false;
    for (size_t i = 0; i < param->choice_count; i++) {
        choices[i] = param->choices[i];
        if (!text_settle(&others, "enum", &choices[i], arena, ret_problem))
            return false;
    }
    param->choices = choices;
    return true;
}

static bool default_settle(struct param *param, struct arena *arena, const char **ret_problem)
{
    struct value value;
    if (!param->default_text.data)
        return true;
    if (!param_read(param, param->type, param->array, param->default_text, arena, &value,
                    ret_problem)) {
        *ret_problem = problem_of("default", *ret_problem, arena);
        return false;
    }
    param->default_text = value.text;
    return true;
}

static bool pattern_settle(struct param *param, struct arena *arena, const char **ret_problem)
{
    if (!param->pattern.data || param->regex ||
        pattern_compile(param->pattern, arena, &param->regex, ret_problem))
        return true;
    *ret_problem = problem_of("pattern", *ret_problem, arena);
    return false;
}

bool param_settle(struct param *param, struct arena *arena, const char **ret_problem)
{
    const struct param free = {.name = param->name, .type = param->type, .maxlen = -1};
    return constraints_fit(param, arena, ret_problem) &&
           pattern_settle(param, arena, ret_problem) &&
           bounds_settle(param, &free, arena, ret_problem) &&
           choices_settle(param, arena, ret_problem) && default_settle(param, arena, ret_problem);
}

void param_release(struct param *param)
{
    pattern_free(param->regex);
    param->regex = NULL;
}
