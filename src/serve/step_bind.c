#include <stdio.h>
#include <time.h>

#include "http/query.h"
#include "serve/bearer.h"
#include "serve/binding.h"
#include "serve/claim.h"
#include "serve/page_link.h"
#include "serve/steps.h"
#include "serve/version.h"

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
        binding_given(binding, index, given, count);
    else
        binding_absent(binding, index);
}

static void bind_header(struct binding *binding, size_t index)
{
    const struct param *param = &binding->learned->params[index];
    struct span given = request_header(&binding->exchange->request, param->name);
    if (given.data)
        binding_given(binding, index, &given, 1);
    else
        binding_absent(binding, index);
}

static void bind_path(struct binding *binding, size_t index)
{
    binding_given(binding, index, &binding->exchange->match.values[binding->path_at++], 1);
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

/* A text that is no value of the column's type is no row's version either. */
static void bind_version(struct binding *binding, size_t index)
{
    struct exchange *exchange = binding->exchange;
    const struct param *param = &binding->learned->params[index];
    struct value *value = &binding->by_param[index];
    const char *problem = "";
    value->state = VALUE_NULL;
    if (exchange->version_kind != VERSION_GIVEN ||
        param_read(param, param->type, false, exchange->version, exchange->desk->arena, value,
                   &problem))
        return;
    exchange->version_kind = VERSION_OTHER;
    binding->failed = binding->failed || !problem;
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

/* Places without a row: the step body has them, or step_match refuses their routes. */
static binder *const binders[] = {
    [PLACE_PATH] = bind_path,   [PLACE_QUERY] = bind_query, [PLACE_HEADER] = bind_header,
    [PLACE_CLOCK] = bind_clock, [PLACE_CLAIM] = bind_claim, [PLACE_VERSION] = bind_version,
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

/* Does anything of the route come in the body? */
static bool takes_body(const struct route *route)
{
    for (size_t i = 0; i < route->param_count; i++)
        if (route->params[i].place == PLACE_BODY || route->params[i].place == PLACE_WHOLE_BODY)
            return true;
    return false;
}

void step_bind(struct exchange *exchange)
{
    if (exchange->query.size && !query_read(exchange))
        return;
    version_ask(exchange);
    if (exchange->phase != PHASE_SEEKING)
        return;
    exchange->profile = profile_asked(exchange);
    exchange->learned = atomic_load_explicit(&exchange->served->learned, memory_order_acquire);
    struct binding *binding = binding_new(exchange);
    if (!binding) {
        exchange_memory(exchange);
        return;
    }
    bind_all(binding);
    page_bind(binding);
    exchange->by_param = binding->by_param;
    if (binding->claim_problem)
        bearer_refuse(exchange, binding->claim_problem);
    else if (takes_body(exchange->served->route))
        exchange->binding = binding;
    else
        binding_end(binding);
}
