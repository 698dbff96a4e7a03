/*
 * Values out of a JSON body. JSON tells a number from a text, so a text is never taken for a number
 * here, as it must be in a query; otherwise a client's "007" would be stored as 7.
 */
#include "base/json.h"
#include "route/param_rules.h"

#define KIND(kind) (1u << (kind))

static const unsigned anything = KIND(JSON_BOOLEAN) | KIND(JSON_NUMBER) | KIND(JSON_STRING) |
                                 KIND(JSON_ARRAY) | KIND(JSON_OBJECT);

/* The kinds a type takes; a type without a row takes anything. */
static unsigned kinds_of(enum param_type type)
{
    static const unsigned kinds[TYPE_COUNT] = {
        [TYPE_SMALLINT] = KIND(JSON_NUMBER),  [TYPE_INTEGER] = KIND(JSON_NUMBER),
        [TYPE_BIGINT] = KIND(JSON_NUMBER),    [TYPE_NUMERIC] = KIND(JSON_NUMBER),
        [TYPE_REAL] = KIND(JSON_NUMBER),      [TYPE_DOUBLE] = KIND(JSON_NUMBER),
        [TYPE_BOOLEAN] = KIND(JSON_BOOLEAN),  [TYPE_TEXT] = KIND(JSON_STRING),
        [TYPE_UUID] = KIND(JSON_STRING),      [TYPE_DATE] = KIND(JSON_STRING),
        [TYPE_TIMESTAMP] = KIND(JSON_STRING), [TYPE_TIMESTAMPTZ] = KIND(JSON_STRING),
    };
    return kinds[type] ? kinds[type] : anything;
}

static const char *const kind_names[] = {
    [JSON_NULL] = "null",       [JSON_BOOLEAN] = "true or false", [JSON_NUMBER] = "a number",
    [JSON_STRING] = "a string", [JSON_ARRAY] = "an array",        [JSON_OBJECT] = "an object",
};

static bool wrong_kind(const struct param *param, enum param_type type, const struct json *given,
                       struct span text, struct arena *arena, const char **ret_problem)
{
    *ret_problem = problem_value(param, type, text, kind_names[given->kind], arena);
    return false;
}

/* json and jsonb take the value as it stands; of others a string is what it says. */
bool json_text(const struct param *param, enum param_type type, const struct json *given,
               struct arena *arena, struct span *ret_text, const char **ret_problem)
{
    struct span text = given->text;
    bool verbatim = type == TYPE_JSON || type == TYPE_JSONB;
    if (given->kind == JSON_STRING && !verbatim && !json_string(given, arena, &text)) {
        *ret_problem = NULL;
        return false;
    }
    if (!(kinds_of(type) & KIND(given->kind)))
        return wrong_kind(param, type, given, text, arena, ret_problem);
    *ret_text = text;
    return true;
}

static bool not_an_array(const struct json *given, struct arena *arena, const char **ret_problem)
{
    *ret_problem = arena_format(arena, "must be an array, not %s", kind_names[given->kind]);
    return false;
}

bool param_read_json(const struct param *param, enum param_type type, const struct json *given,
                     struct arena *arena, struct value *ret_value, const char **ret_problem)
{
    struct span text;
    if (given->kind == JSON_NULL && param->required) {
        *ret_problem = "must not be null";
        return false;
    }
    if (given->kind == JSON_NULL) {
        *ret_value = (struct value){.state = VALUE_NULL};
        return true;
    }
    if (param->array)
        return given->kind == JSON_ARRAY
                   ? param_read_json_array(param, type, given, arena, ret_value, ret_problem)
                   : not_an_array(given, arena, ret_problem);
    if (!json_text(param, type, given, arena, &text, ret_problem) ||
        !param_read_scalar(param, type, text, arena, &text, ret_problem))
        return false;
    *ret_value = (struct value){.state = VALUE_TEXT, .text = text};
    return true;
}
