#include "route/param.h"

#include "base/utf8.h"
#include "route/param_rules.h"

#define QUOTE_CHARACTERS 40
#define CHOICES_SHOWN 20
#define REPLACEMENT "\xef\xbf\xbd"

const char *problem_quote(struct span given, struct arena *arena)
{
    struct bytes quoted CLEANUP(bytes_free) = BYTES_EMPTY;
    bytes_append_byte(&quoted, '"');
    for (size_t i = 0; i < QUOTE_CHARACTERS && given.size; i++) {
        size_t length = utf8_character(given);
        bool control = (unsigned char)given.data[0] < 0x20 || given.data[0] == 0x7f;
        if (length && !control)
            bytes_append(&quoted, given.data, length);
        else
            bytes_append_text(&quoted, REPLACEMENT);
        given = span_from(given, length ? length : 1);
    }
    bytes_append_text(&quoted, given.size ? "…\"" : "\"");
    return quoted.failed ? NULL : arena_text(arena, bytes_span(&quoted));
}

static void range_append(struct bytes *text, const struct param *param,
                         const struct param_rules *rules)
{
    struct span min = param->min.data ? param->min : span_of(rules->least);
    struct span max = param->max.data ? param->max : span_of(rules->most);
    if (min.data && max.data)
        bytes_append_format(text, " from %.*s to %.*s", SPAN_PRINTF(min), SPAN_PRINTF(max));
    else if (min.data)
        bytes_append_format(text, ", at least %.*s", SPAN_PRINTF(min));
    else if (max.data)
        bytes_append_format(text, ", at most %.*s", SPAN_PRINTF(max));
}

static void choices_append(struct bytes *text, const struct param *param)
{
    bytes_append_text(text, "one of ");
    for (size_t i = 0; i < param->choice_count && i < CHOICES_SHOWN; i++) {
        bytes_append_text(text, i ? ", " : "");
        bytes_append_span(text, param->choices[i]);
    }
    if (param->choice_count > CHOICES_SHOWN)
        bytes_append_text(text, ", …");
}

const char *problem_value(const struct param *param, enum param_type type, struct span given,
                          const char *hint, struct arena *arena)
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    const char *quoted = problem_quote(given, arena);
    if (!quoted)
        return NULL;
    bytes_append_text(&text, "must be ");
    if (param->choice_count) {
        choices_append(&text, param);
    } else {
        bytes_append_text(&text, param_rules[type].noun);
        range_append(&text, param, &param_rules[type]);
    }
    bytes_append_format(&text, ", not %s", quoted);
    if (hint)
        bytes_append_format(&text, " (%s)", hint);
    return text.failed ? NULL : arena_text(arena, bytes_span(&text));
}

static bool in_bounds(const struct param *param, const struct param_rules *rules, struct span text)
{
    if (!rules->order)
        return true;
    return (!param->min.data || rules->order(text, param->min) >= 0) &&
           (!param->max.data || rules->order(text, param->max) <= 0);
}

static bool in_choices(const struct param *param, struct span text)
{
    for (size_t i = 0; i < param->choice_count; i++)
        if (span_equal(param->choices[i], text))
            return true;
    return param->choice_count == 0;
}

static bool length_check(const struct param *param, struct span text, struct arena *arena,
                         const char **ret_problem)
{
    size_t length = utf8_count(text);
    if (param->maxlen < 0 || length <= (size_t)param->maxlen)
        return true;
    *ret_problem = arena_format(arena, "must be at most %lld characters long, not %zu",
                                (long long)param->maxlen, length);
    return false;
}

static bool pattern_check(const struct param *param, struct span text, struct arena *arena,
                          const char **ret_problem)
{
    if (!param->regex || pattern_matches(param->regex, text.data))
        return true;
    const char *quoted = problem_quote(text, arena);
    *ret_problem = quoted ? arena_format(arena, "must match the pattern %.*s, not %s",
                                         SPAN_PRINTF(param->pattern), quoted)
                          : NULL;
    return false;
}

bool param_read_scalar(const struct param *param, enum param_type type, struct span given,
                       struct arena *arena, struct span *ret_text, const char **ret_problem)
{
    const struct param_rules *rules = &param_rules[type];
    const char *hint = NULL;
    struct span text = {0};
    enum reading reading = READING_WRONG;
    if (given.size || rules->empty)
        reading = rules->read(given, arena, &text, &hint);
    if (reading == READING_NO_MEMORY) {
        *ret_problem = NULL;
        return false;
    }
    if (reading == READING_WRONG || !in_bounds(param, rules, text) || !in_choices(param, text)) {
        *ret_problem = problem_value(param, type, given, hint, arena);
        return false;
    }
    if (!length_check(param, text, arena, ret_problem) ||
        !pattern_check(param, text, arena, ret_problem))
        return false;
    *ret_text = text;
    return true;
}

bool param_read(const struct param *param, enum param_type type, bool array, struct span given,
                struct arena *arena, struct value *ret_value, const char **ret_problem)
{
    if (array)
        return param_read_array(param, type, &given, 1, arena, ret_value, ret_problem);
    struct span text;
    if (!param_read_scalar(param, type, given, arena, &text, ret_problem))
        return false;
    *ret_value = (struct value){.state = VALUE_TEXT, .text = text};
    return true;
}
