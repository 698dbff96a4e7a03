/*
 * Settling an exchange: apart from the rest of it, for whoever makes answers without requests.
 */
#include "base/log.h"
#include "serve/exchange.h"

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
    int i = route_param_find(exchange->served->route, name);
    return i < 0 ? NULL : &exchange->by_param[i];
}

void exchange_redis_event(const struct error *event)
{
    if (event->text[0])
        log_event(event->kind == ERROR_NONE ? LOG_INFO : LOG_WARNING, "redis", "%s", event->text);
}
