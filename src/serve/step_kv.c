/*
 * Values that Redis alone keeps: the step kv.
 *
 * The name of a value in Redis is made so that two requests have one name only when all their
 * places have the same values: see template_write_escaped.
 */
#include "cache/kv.h"
#include "route/template.h"
#include "serve/steps.h"

/* A template filled in. */
struct filling {
    struct exchange *exchange;
    struct problem_item *items; /* what its places lack */
    size_t item_count;
    bool forbidden; /* a claim is missing */
};

static void place_complain(struct filling *filling, size_t index, const char *detail)
{
    const struct param *param = &filling->exchange->learned->params[index];
    for (size_t i = 0; i < filling->item_count; i++)
        if (strcmp(filling->items[i].name, param->name) == 0)
            return;
    filling->forbidden = filling->forbidden || param->place == PLACE_CLAIM;
    filling->items[filling->item_count++] = (struct problem_item){
        .name = param->name, .in = param_place_names[param->place], .detail = detail};
}

/* route_parse has seen to it that there is one. */
static size_t param_index(const struct route *route, struct span name)
{
    return (size_t)route_param_find(route, name);
}

typedef void value_writer(struct span value, struct bytes *out);

static void value_write(struct span value, struct bytes *out)
{
    bytes_append_span(out, value);
}

static void template_fill(struct filling *filling, struct span text, value_writer *write,
                          struct bytes *out)
{
    const struct exchange *exchange = filling->exchange;
    struct span literal, name;
    while (template_next(&text, &literal, &name)) {
        bytes_append_span(out, literal);
        if (!name.data)
            continue;
        size_t index = param_index(exchange->served->route, name);
        const struct value *value = &exchange->by_param[index];
        if (value->state == VALUE_TEXT)
            write(value->text, out);
        else
            place_complain(filling, index, "is required");
    }
}

/* Every parameter that the template names has part in what is wrong with the whole. */
static void template_complain(struct filling *filling, struct span text, const char *detail)
{
    struct span literal, name;
    while (template_next(&text, &literal, &name))
        if (name.data)
            place_complain(filling, param_index(filling->exchange->served->route, name), detail);
}

/* What a route asks for, with the request's values in their places. */
struct wish {
    struct bytes name;  /* in Redis, behind the prefix */
    struct bytes key;   /* as the client knows it */
    struct bytes value; /* of KV_SET */
};

static void wish_free(struct wish *wish)
{
    bytes_free(&wish->name);
    bytes_free(&wish->key);
    bytes_free(&wish->value);
}

static void sizes_check(struct filling *filling, const struct wish *wish)
{
    struct exchange *exchange = filling->exchange;
    const struct route_kv *kv = &exchange->served->route->kv;
    int64_t most = options_number(exchange->server->options, OPTION_ENTRY_MAX);
    if (!filling->item_count && !wish->name.size)
        template_complain(filling, kv->key, "must not be empty");
    if (wish->name.size > KV_NAME_MAX)
        template_complain(filling, kv->key,
                          arena_format(exchange->desk->arena,
                                       "makes a key of %zu bytes; at most %d are allowed",
                                       wish->name.size, KV_NAME_MAX));
    if (wish->value.size > (uint64_t)most)
        template_complain(filling, kv->value,
                          arena_format(exchange->desk->arena,
                                       "makes a value of %zu bytes; at most %lld are kept",
                                       wish->value.size, (long long)most));
}

static void answer_lacking(const struct filling *filling)
{
    if (filling->forbidden)
        exchange_problem(filling->exchange, 403,
                         "The token lacks a claim that the key is made of.");
    else
        exchange_problem_items(filling->exchange, 422,
                               "Parameters are missing or have values that are not allowed.",
                               filling->items, filling->item_count);
}

/* False: the exchange is settled. */
static bool wish_make(struct exchange *exchange, struct wish *wish)
{
    const struct route *route = exchange->served->route;
    struct filling filling = {
        .exchange = exchange,
        .items = arena_array(exchange->desk->arena, route->param_count, sizeof *filling.items)};
    template_fill(&filling, route->kv.key, template_write_escaped, &wish->name);
    template_fill(&filling, route->kv.key, value_write, &wish->key);
    template_fill(&filling, route->kv.value, value_write, &wish->value);
    sizes_check(&filling, wish);
    if (wish->name.failed || wish->key.failed || wish->value.failed || !filling.items)
        exchange_memory(exchange);
    else if (filling.item_count)
        answer_lacking(&filling);
    return exchange->phase == PHASE_SEEKING;
}

static void answer_away(struct exchange *exchange)
{
    exchange_problem(exchange, 503, "The store of values can't be reached.");
    exchange_header(exchange, "Retry-After", "1");
}

/* No problem document: a client tells a value that is gone from a path that is none. */
static void answer_missing_value(struct exchange *exchange)
{
    exchange_settle(exchange, 404, SPAN_LITERAL("application/json"),
                    SPAN_LITERAL("{\"error\":\"Key not found\"}"));
    exchange_header(exchange, "Cache-Control", "no-store");
}

static int64_t seconds(int64_t microseconds)
{
    return (microseconds + 999999) / 1000000;
}

/* {"key":…,"value":… and what follows, which closes the object. */
static void answer_value(struct exchange *exchange, const struct wish *wish, struct span value,
                         const char *rest)
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    bytes_append_text(&text, "{\"key\":");
    bytes_append_json(&text, bytes_span(&wish->key));
    bytes_append_text(&text, ",\"value\":");
    bytes_append_json(&text, value);
    bytes_append_text(&text, rest);
    struct span body = arena_span(exchange->desk->arena, bytes_span(&text));
    if (!body.size) {
        exchange_memory(exchange);
        return;
    }
    exchange_settle(exchange, 200, SPAN_LITERAL("application/json"), body);
    exchange_header(exchange, "Cache-Control", "no-store");
}

static void append_cache_status(struct exchange *exchange, int64_t left)
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    const struct cache_status status = {
        .hit = true, .ttl = seconds(left), .has_ttl = left >= 0, .detail = "redis"};
    cache_status_write(&status, &text);
    exchange_header(exchange, "Cache-Status", bytes_text(&text));
}

/* What all three do with their wish, under one bound for Redis. */
struct asking {
    struct exchange *exchange;
    struct cache_store *store;
    struct redis_connection *redis;
    const struct wish *wish;
    int64_t budget;
    struct error event;
};

static void count(const struct asking *asking, enum counter counter)
{
    counters_add(asking->exchange->server->counters, counter, 1);
}

static enum kv_outcome set(struct asking *asking)
{
    const struct route_kv *kv = &asking->exchange->served->route->kv;
    struct span value = bytes_span(&asking->wish->value);
    enum kv_outcome outcome = kv_set(asking->store, asking->redis, bytes_span(&asking->wish->name),
                                     value, kv->ttl, &asking->budget, &asking->event);
    const char *rest = "}";
    if (kv->ttl)
        rest = arena_format(asking->exchange->desk->arena, ",\"ttl\":%lld}",
                            (long long)seconds(kv->ttl));
    if (outcome != KV_DONE)
        return outcome;
    answer_value(asking->exchange, asking->wish, value, rest ? rest : "}");
    count(asking, COUNTER_KV_SETS);
    return outcome;
}

static enum kv_outcome get(struct asking *asking)
{
    struct kv_found found;
    enum kv_outcome outcome = kv_get(asking->store, asking->redis, bytes_span(&asking->wish->name),
                                     &asking->budget, &found, &asking->event);
    if (outcome != KV_DONE)
        return outcome;
    answer_value(asking->exchange, asking->wish, found.value, ",\"source\":\"cache\"}");
    append_cache_status(asking->exchange, found.left);
    redis_reply_free(found.reply);
    asking->exchange->tier = TIER_REDIS;
    count(asking, COUNTER_KV_HITS);
    return outcome;
}

static enum kv_outcome delete (struct asking *asking) {
    enum kv_outcome outcome = kv_delete(asking->store, asking->redis,
                                        bytes_span(&asking->wish->name), &asking->budget,
                                        &asking->event);
    if (outcome != KV_DONE) return outcome;
    exchange_settle(asking->exchange, 204, (struct span){0}, (struct span){0});
    exchange_header(asking->exchange, "Cache-Control", "no-store");
    count(asking, COUNTER_KV_DELETES);
    return outcome;
}

static void ask(struct exchange *exchange, const struct wish *wish)
{
    static enum kv_outcome (*const by_kind[])(struct asking *) = {
        [KV_SET] = set, [KV_GET] = get, [KV_DELETE] = delete};
    struct asking asking = {.exchange = exchange,
                            .store = exchange->server->store,
                            .redis = exchange->desk->redis,
                            .wish = wish,
                            .budget =
                                options_number(exchange->server->options, OPTION_REDIS_TIMEOUT)};
    enum kv_outcome outcome = by_kind[exchange->served->route->kv.kind](&asking);
    if (outcome == KV_MISSING) {
        answer_missing_value(exchange);
        count(&asking, COUNTER_KV_MISSES);
    } else if (outcome == KV_AWAY) {
        answer_away(exchange);
    }
    exchange_redis_event(&asking.event);
}

/* A value has no version that a change of it could be tied to. */
static bool conditional_change(const struct exchange *exchange)
{
    const struct request *request = &exchange->request;
    return exchange->served->route->kv.kind != KV_GET &&
           (request->if_match.data || span_is(span_trim(request->if_none_match), "*"));
}

void step_kv(struct exchange *exchange)
{
    struct wish wish CLEANUP(wish_free) = {0};
    if (exchange->served->route->kv.kind == KV_NONE)
        return;
    if (!exchange->server->store)
        exchange_problem(exchange, 503, "The server has no Redis to keep values in.");
    else if (conditional_change(exchange))
        exchange_problem(exchange, 412,
                         "Values have no versions to compare; ask without If-Match "
                         "and If-None-Match.");
    else if (wish_make(exchange, &wish))
        ask(exchange, &wish);
}
