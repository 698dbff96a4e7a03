#include "serve/claim.h"

#include "auth/claims.h"

/* A json parameter has the claim as it stands, quotes and all. */
static bool json_text(const struct json *claim, struct arena *arena, struct span *ret_text)
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    json_write_canonical(claim, &text);
    *ret_text = text.failed ? (struct span){0} : arena_span(arena, bytes_span(&text));
    return ret_text->data != NULL;
}

static bool text_read(const struct json *claim, const struct param *param, struct arena *arena,
                      struct value *ret_value, const char **ret_problem)
{
    bool as_json = param->type == TYPE_JSON || param->type == TYPE_JSONB;
    struct span text;
    *ret_problem = NULL;
    if (as_json ? !json_text(claim, arena, &text) : !claims_text(claim, arena, &text))
        return false;
    if (param->array)
        return param_read_array(param, param->type, &text, 1, arena, ret_value, ret_problem);
    return param_read(param, param->type, false, text, arena, ret_value, ret_problem);
}

bool claim_bind(const struct exchange *exchange, const struct param *param, struct value *ret_value,
                const char **ret_problem)
{
    struct span path = span_from(span_of(param->name), sizeof "auth." - 1);
    struct arena *arena = exchange->desk->arena;
    struct json claim;
    if (!exchange->principal || !claims_find(&exchange->principal->claims, path, &claim) ||
        claim.kind == JSON_NULL) {
        *ret_value = (struct value){.state = VALUE_NULL};
        return true;
    }
    if (param->array && claim.kind == JSON_ARRAY)
        return param_read_json(param, param->type, &claim, arena, ret_value, ret_problem);
    return text_read(&claim, param, arena, ret_value, ret_problem);
}
