#include <stdio.h>
#include <time.h>

#include "http/query.h"
#include "serve/answer.h"
#include "serve/bearer.h"
#include "serve/claim.h"
#include "serve/steps.h"

/* Every parameter's value, and what is wrong with those that have none. */
struct binding {
    struct exchange *exchange;
    const struct learned *learned;
    struct value *by_param;
    struct problem_item *items;
    size_t item_count;
    size_t path_at;            /* the next of the match's path values */
    bool failed;               /* memory */
    const char *claim_problem; /* of the token */
};

static void complain(struct binding *binding, const struct param *param, const char *problem)
{
    if (!problem) {
        binding->failed = true;
        return;
    }
    binding->items[binding->item_count++] = (struct problem_item){
        .name = param->name, .in = param_place_names[param->place], .detail = problem};
}

static void bind_absent(struct binding *binding, const struct param *param, struct value *value)
{
    if (param->default_text.data)
        *value = (struct value){.state = VALUE_TEXT, .text = param->default_text};
    else if (param->default_null)
        value->state = VALUE_NULL;
    else if (param->required)
        complain(binding, param, "is required");
    else
        value->state = VALUE_ABSENT;
}

static void bind_given(struct binding *binding, size_t index, const struct span *given,
                       size_t count)
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
        complain(binding, param, problem);
}

static void bind_query(struct binding *binding, size_t index)
{
    const struct exchange *exchange = binding->exchange;
    const struct param *param = &binding->learned->params[index];
    struct span given[QUERY_PAIRS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < exchange->pair_count; i++)
        if (span_is(exchange->desk->pairs[i].name, param->name))
            given[count++] = exchange->desk->pairs[i].value;
    if (count)
        bind_given(binding, index, given, count);
    else
        bind_absent(binding, param, &binding->by_param[index]);
}

static void bind_header(struct binding *binding, size_t index)
{
    const struct param *param = &binding->learned->params[index];
    struct span given = request_header(&binding->exchange->request, param->name);
    if (given.data)
        bind_given(binding, index, &given, 1);
    else
        bind_absent(binding, param, &binding->by_param[index]);
}

static void bind_path(struct binding *binding, size_t index)
{
    bind_given(binding, index, &binding->exchange->match.values[binding->path_at++], 1);
}

/* :now is the request's time to the microsecond, :today its day; both UTC. */
static void bind_clock(struct binding *binding, size_t index)
{
    const struct exchange *exchange = binding->exchange;
    const struct param *param = &binding->learned->params[index];
    time_t seconds = (time_t)(exchange->now / 1000000);
    struct tm parts;
    char day[32], text[64];
    gmtime_r(&seconds, &parts);
    strftime(day, sizeof day, "%Y-%m-%d", &parts);
    if (strcmp(param->name, "today") == 0)
        snprintf(text, sizeof text, "%s", day);
    else
        snprintf(text, sizeof text, "%sT%02d:%02d:%02d.%06dZ", day, parts.tm_hour, parts.tm_min,
                 parts.tm_sec, (int)(exchange->now % 1000000));
    struct span copy = arena_span(exchange->desk->arena, span_of(text));
    if (!copy.data)
        binding->failed = true;
    binding->by_param[index] = (struct value){.state = VALUE_TEXT, .text = copy};
}

/* What does not fit is the token's fault, not the request's. */
static void bind_claim(struct binding *binding, size_t index)
{
    const struct param *param = &binding->learned->params[index];
    struct arena *arena = binding->exchange->desk->arena;
    const char *problem = NULL;
    if (claim_bind(binding->exchange, param, &binding->by_param[index], &problem))
        return;
    if (problem)
        binding->claim_problem = arena_format(arena, "has a claim %s that %s",
                                              param->name + sizeof "auth." - 1, problem);
    if (!binding->claim_problem)
        binding->failed = true;
}

typedef void binder(struct binding *binding, size_t index);

/* Places without a row are refused by step_match: their routes are not served yet. */
static binder *const binders[] = {
    [PLACE_PATH] = bind_path,   [PLACE_QUERY] = bind_query, [PLACE_HEADER] = bind_header,
    [PLACE_CLOCK] = bind_clock, [PLACE_CLAIM] = bind_claim,
};

static void bind_all(struct binding *binding)
{
    const struct route *route = binding->exchange->served->route;
    for (size_t i = 0; i < route->param_count; i++) {
        enum param_place place = route->params[i].place;
        if (place < ARRAY_COUNT(binders) && binders[place])
            binders[place](binding, i);
    }
}

static bool query_read(struct exchange *exchange)
{
    struct error error;
    if (!query_parse(exchange->query, exchange->desk->arena, exchange->desk->pairs, QUERY_PAIRS_MAX,
                     &exchange->pair_count, &error)) {
        exchange_problem(exchange, 400, error.text);
        return false;
    }
    return true;
}

static bool profile_asked(const struct exchange *exchange)
{
    if (!options_number(exchange->server->options, OPTION_PROFILE))
        return false;
    for (size_t i = 0; i < exchange->pair_count; i++)
        if (span_is(exchange->desk->pairs[i].name, "profile") &&
            span_is(exchange->desk->pairs[i].value, "1"))
            return true;
    return false;
}

static void values_take(struct exchange *exchange, struct value *by_param)
{
    exchange->by_param = by_param;
    exchange->values = answer_values(exchange->served->route, by_param, exchange->desk->arena);
    if (!exchange->values)
        exchange_memory(exchange);
}

void step_bind(struct exchange *exchange)
{
    const struct route *route = exchange->served->route;
    struct arena *arena = exchange->desk->arena;
    if (exchange->query.size && !query_read(exchange))
        return;
    exchange->profile = profile_asked(exchange);
    exchange->learned = atomic_load_explicit(&exchange->served->learned, memory_order_acquire);
    struct binding binding = {
        .exchange = exchange,
        .learned = exchange->learned,
        .by_param = arena_array(arena, route->param_count, sizeof *binding.by_param),
        .items = arena_array(arena, route->param_count, sizeof *binding.items)};
    if (binding.by_param && binding.items)
        bind_all(&binding);
    if (!binding.by_param || !binding.items || binding.failed)
        exchange_memory(exchange);
    else if (binding.claim_problem)
        bearer_refuse(exchange, binding.claim_problem);
    else if (binding.item_count)
        exchange_problem_items(exchange, 422,
                               "Parameters are missing or have values that are not allowed.",
                               binding.items, binding.item_count);
    else
        values_take(exchange, binding.by_param);
}
