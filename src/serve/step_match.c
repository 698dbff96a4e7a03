#include "http/media.h"
#include "http/target.h"
#include "serve/answer.h"
#include "serve/download_head.h"
#include "serve/internal.h"
#include "serve/nginx.h"
#include "serve/queue_page.h"
#include "serve/steps.h"

/* Which methods the path has: bits 1 << METHOD_x. */
static unsigned methods_of(const struct exchange *exchange)
{
    unsigned methods = 0;
    for (unsigned i = 0; i < METHOD_COUNT; i++)
        methods |= exchange->match.by_method[i] ? 1u << i : 0;
    return methods;
}

/* "GET, HEAD, OPTIONS, PUT" for the methods a path has. */
static const char *allow_value(const struct exchange *exchange, unsigned methods)
{
    struct bytes allow = BYTES_EMPTY;
    bytes_append_text(&allow, "OPTIONS");
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        if (!(methods & 1u << i))
            continue;
        bytes_append_format(&allow, ", %s%s", route_method_names[i],
                            i == METHOD_GET ? ", HEAD" : "");
    }
    const char *value = arena_text(exchange->desk->arena, bytes_span(&allow));
    bytes_free(&allow);
    return value ? value : "OPTIONS";
}

/* HEAD comes with GET. METHOD_COUNT: it is none that a route can have. */
static enum route_method method_of(const struct exchange *exchange)
{
    enum route_method method = METHOD_GET;
    while (method < METHOD_COUNT && !exchange->head_only &&
           !span_is(exchange->request.method, route_method_names[method]))
        method++;
    return method;
}

/* Those of the path's methods that pages of other origins may use. */
static void append_cors_methods(const struct exchange *exchange, unsigned of, struct bytes *methods)
{
    const struct cors *cors = exchange->server->cors;
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        struct span name = span_of(route_method_names[i]);
        if (!(of & 1u << i))
            continue;
        if (cors_allows_method(cors, name))
            bytes_append_format(methods, "%s%.*s", methods->size ? ", " : "", SPAN_PRINTF(name));
        if (i == METHOD_GET && cors_allows_method(cors, SPAN_LITERAL("HEAD")))
            bytes_append_format(methods, "%sHEAD", methods->size ? ", " : "");
    }
}

/* What a preflight is told beside what all answers say. */
static void append_preflight(struct exchange *exchange, unsigned of)
{
    struct bytes methods = BYTES_EMPTY, head = BYTES_EMPTY;
    append_cors_methods(exchange, of, &methods);
    bytes_append_span(&head, exchange->settled_head);
    cors_append_preflight(exchange->server->cors, exchange->request.origin, bytes_span(&methods),
                          &head);
    struct span copy = arena_span(exchange->desk->arena, bytes_span(&head));
    if (copy.size)
        exchange->settled_head = copy;
    bytes_free(&methods);
    bytes_free(&head);
}

static void answer_options(struct exchange *exchange, unsigned methods)
{
    const struct request *request = &exchange->request;
    exchange_settle(exchange, 204, (struct span){0}, (struct span){0});
    exchange_header(exchange, "Allow", allow_value(exchange, methods));
    exchange_header(exchange, "Cache-Control", "no-store");
    if (exchange->server->cors && request->origin.size && request->cors_method.size)
        append_preflight(exchange, methods);
}

static void answer_other_method(struct exchange *exchange, unsigned methods)
{
    exchange_problem(exchange, 405,
                     "The path does not have this method; Allow names those it has.");
    exchange_header(exchange, "Allow", allow_value(exchange, methods));
}

static void check_accept(struct exchange *exchange, const struct route *route)
{
    enum route_format format;
    if (!route->stream.format_count &&
        !media_acceptable(exchange->request.accept, "application/json"))
        exchange_problem(exchange, 406, "The route answers application/json alone.");
    else if (route->stream.format_count && !download_format(exchange, &format))
        exchange_problem(
            exchange, 406,
            arena_format(exchange->desk->arena, "The route answers %s.", download_types(exchange)));
}

static void match_found(struct exchange *exchange, const struct route *route)
{
    exchange->served = live_find(exchange->live, route);
    exchange->counters = exchange->served->counters;
    nginx_begin(exchange);
    exchange->timeout =
        answer_timeout(route, options_number(exchange->server->options, OPTION_TIMEOUT));
    check_accept(exchange, route);
}

void step_match(struct exchange *exchange)
{
    struct error error;
    struct span segments[ROUTE_SEGMENTS_MAX];
    size_t count;
    if (internal_answer(exchange))
        return;
    if (!target_segments(exchange->path, exchange->desk->arena, segments, ROUTE_SEGMENTS_MAX,
                         &count, &error)) {
        exchange_problem(exchange, 400, error.text);
        return;
    }
    exchange->live = server_live(exchange->server);
    if (count <= ROUTE_SEGMENTS_MAX)
        route_table_match(live_table(exchange->live), segments, count, &exchange->match);
    bool page = queue_page_is(exchange, segments, count);
    unsigned methods = page ? QUEUE_PAGE_METHODS : methods_of(exchange);
    enum route_method method = method_of(exchange);
    if (!methods)
        exchange_problem(exchange, 404, "There is no route with this path.");
    else if (span_is(exchange->request.method, "OPTIONS"))
        answer_options(exchange, methods);
    else if (!(methods & 1u << method))
        answer_other_method(exchange, methods);
    else if (page)
        queue_page_begin(exchange, segments[1]);
    else
        match_found(exchange, exchange->match.by_method[method]);
}
