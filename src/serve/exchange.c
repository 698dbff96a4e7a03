#include "serve/exchange.h"

#include "base/clock.h"
#include "base/log.h"
#include "serve/answer.h"

void exchange_settle(struct exchange *exchange, unsigned status, struct span type, struct span body)
{
    exchange->phase = PHASE_SETTLED;
    exchange->status = status;
    exchange->settled_type = type;
    exchange->settled_body = body;
}

void exchange_memory(struct exchange *exchange)
{
    exchange_settle(exchange, 503, SPAN_LITERAL("application/problem+json"),
                    SPAN_LITERAL("{\"type\":\"about:blank\",\"title\":\"Service Unavailable\","
                                 "\"status\":503,\"detail\":\"The server is out of memory.\"}"));
    exchange->settled_head = SPAN_LITERAL("Cache-Control: no-store\r\nRetry-After: 1\r\n");
}

void exchange_problem_items(struct exchange *exchange, unsigned status, const char *detail,
                            const struct problem_item *items, size_t count)
{
    const struct problem problem = {.status = status,
                                    .detail = detail,
                                    .instance = exchange->path,
                                    .items = items,
                                    .item_count = count};
    exchange_problem_whole(exchange, &problem);
}

void exchange_problem_whole(struct exchange *exchange, const struct problem *problem)
{
    struct bytes text = BYTES_EMPTY;
    problem_write(problem, &text);
    struct span body = arena_span(exchange->desk->arena, bytes_span(&text));
    bytes_free(&text);
    exchange->settled_head = SPAN_LITERAL("Cache-Control: no-store\r\n");
    if (body.size)
        exchange_settle(exchange, problem->status, SPAN_LITERAL("application/problem+json"), body);
    else
        exchange_memory(exchange);
}

void exchange_problem(struct exchange *exchange, unsigned status, const char *detail)
{
    exchange_problem_items(exchange, status, detail, NULL, 0);
}

void exchange_header(struct exchange *exchange, const char *name, const char *value)
{
    char *head = arena_format(exchange->desk->arena, "%.*s%s: %s\r\n",
                              SPAN_PRINTF(exchange->settled_head), name, value);
    if (head)
        exchange->settled_head = span_of(head);
}

const struct value *exchange_parameter(const struct exchange *exchange, struct span name)
{
    const struct route *route = exchange->served->route;
    for (size_t i = 0; i < route->param_count; i++)
        if (span_is(name, route->params[i].name))
            return &exchange->by_param[i];
    return NULL;
}

void exchange_redis_event(const struct error *event)
{
    if (event->text[0])
        log_event(event->kind == ERROR_NONE ? LOG_INFO : LOG_WARNING, "redis", "%s", event->text);
}

bool exchange_detach(struct exchange *exchange)
{
    unsigned count = exchange->served->route->statement.parameter_count;
    for (unsigned i = 0; i < count; i++) {
        struct span *text = &exchange->values[i].text;
        if (exchange->values[i].state != VALUE_TEXT)
            continue;
        text->data = arena_text(exchange->desk->arena, *text);
        if (!text->data)
            return false;
    }
    exchange->request = (struct request){0};
    exchange->path = exchange->query = (struct span){0};
    exchange->writer = NULL;
    return true;
}

struct exchange exchange_for_read(const struct exchange *exchange, const struct route *route)
{
    struct exchange read = {.desk = exchange->desk,
                            .server = exchange->server,
                            .phase = PHASE_SEEKING,
                            .started = clock_monotonic(),
                            .now = clock_wall(),
                            .request = exchange->request,
                            .live = live_ref(exchange->live),
                            .timeout = answer_timeout(
                                route, options_number(exchange->server->options, OPTION_TIMEOUT))};
    read.served = live_find(read.live, route);
    read.counters = read.served->counters;
    return read;
}

void exchange_end(struct exchange *exchange)
{
    if (exchange->watch)
        exchange->watch_end(exchange);
    redis_reply_free(exchange->reply);
    redis_reply_free(exchange->lookup.found.reply);
    kept_unref(exchange->kept);
    exchange->lookup.found.reply = NULL;
    exchange->kept = NULL;
    db_result_free(exchange->result);
    live_unref(exchange->live);
    exchange->reply = NULL;
    exchange->result = NULL;
    exchange->live = NULL;
}
