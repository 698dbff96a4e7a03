#include "serve/binding.h"

#include "serve/answer.h"

struct binding *binding_new(struct exchange *exchange)
{
    struct arena *arena = exchange->desk->arena;
    size_t count = exchange->served->route->param_count;
    struct binding *binding = arena_alloc(arena, sizeof *binding);
    if (!binding)
        return NULL;
    *binding = (struct binding){
        .exchange = exchange,
        .learned = exchange->learned,
        .by_param = arena_array(arena, count, sizeof *binding->by_param),
        .items = arena_array(arena, count + BINDING_UNKNOWN_MAX, sizeof *binding->items)};
    return binding->by_param && binding->items ? binding : NULL;
}

void binding_complain(struct binding *binding, const struct param *param, const char *problem)
{
    if (!problem) {
        binding->failed = true;
        return;
    }
    binding->items[binding->item_count++] = (struct problem_item){
        .name = param->name, .in = param_place_names[param->place], .detail = problem};
}

void binding_absent(struct binding *binding, size_t index)
{
    const struct param *param = &binding->learned->params[index];
    struct value *value = &binding->by_param[index];
    if (param->default_text.data)
        *value = (struct value){.state = VALUE_TEXT, .text = param->default_text};
    else if (param->default_null)
        value->state = VALUE_NULL;
    else if (param->required)
        binding_complain(binding, param, "is required");
    else
        value->state = VALUE_ABSENT;
}

void binding_given(struct binding *binding, size_t index, const struct span *given, size_t count)
{
    const struct param *param = &binding->learned->params[index];
    struct arena *arena = binding->exchange->desk->arena;
    struct value *value = &binding->by_param[index];
    const char *problem = NULL;
    bool good;
    if (param->array)
        good = param_read_array(param, param->type, given, count, arena, value, &problem);
    else if (count > 1)
        good = (problem = arena_format(arena, "was given %zu times; give it once", count), false);
    else
        good = param_read(param, param->type, false, given[0], arena, value, &problem);
    if (!good)
        binding_complain(binding, param, problem);
}

void binding_given_json(struct binding *binding, size_t index, const struct json *given)
{
    const struct param *param = &binding->learned->params[index];
    const char *problem = NULL;
    if (!param_read_json(param, param->type, given, binding->exchange->desk->arena,
                         &binding->by_param[index], &problem))
        binding_complain(binding, param, problem);
}

void binding_end(struct binding *binding)
{
    struct exchange *exchange = binding->exchange;
    exchange->binding = NULL;
    if (!binding->failed && binding->item_count) {
        exchange_problem_items(exchange, 422,
                               "Parameters are missing or have values that are not allowed.",
                               binding->items, binding->item_count);
        return;
    }
    exchange->values =
        answer_values(exchange->served->route, binding->by_param, exchange->desk->arena);
    if (binding->failed || !exchange->values)
        exchange_memory(exchange);
}
