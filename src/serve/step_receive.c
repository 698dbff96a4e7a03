#include "http/header.h"
#include "http/target.h"
#include "serve/steps.h"

/* Lines of Prefer that are looked at. */
#define PREFER_LINES_MAX 8

static int64_t limit(const struct exchange *exchange, enum option option)
{
    return options_number(exchange->server->options, option);
}

static bool over(const struct exchange *exchange, enum option option, size_t size)
{
    return size > (uint64_t)limit(exchange, option);
}

static void check_sizes(struct exchange *exchange)
{
    uint64_t length;
    if (over(exchange, OPTION_PATH_MAX, exchange->path.size))
        exchange_problem(exchange, 414, "The path is longer than this server takes.");
    else if (over(exchange, OPTION_QUERY_MAX, exchange->query.size))
        exchange_problem(exchange, 414, "The query is longer than this server takes.");
    else if (over(exchange, OPTION_HEADER_MAX, exchange->request.header_size))
        exchange_problem(exchange, 431, "The header fields are larger than this server takes.");
    else if (!request_content_length(&exchange->request, &length))
        exchange_problem(exchange, 400, "Content-Length is not a number.");
    else if (over(exchange, OPTION_BODY_MAX, length))
        exchange_problem(exchange, 413, "The body is larger than this server takes.");
}

/* A client may say it in several lines. */
static struct prefer prefer_of(const struct request *request)
{
    struct prefer prefer = PREFER_NONE;
    struct span lines[PREFER_LINES_MAX];
    size_t count =
        request->prefer.data ? request_lines(request, "HTTP_PREFER", lines, PREFER_LINES_MAX) : 0;
    for (size_t i = 0; i < count; i++)
        prefer_read(lines[i], &prefer);
    return prefer;
}

void step_receive(struct exchange *exchange)
{
    struct request *request = &exchange->request;
    struct span path, query;
    exchange->head_only = span_is(request->method, "HEAD");
    /* The raw target may be anything: nothing of it goes into the answer before it is checked. */
    bool split = request->target.size <= (uint64_t)limit(exchange, OPTION_PATH_MAX) +
                                             (uint64_t)limit(exchange, OPTION_QUERY_MAX) + 1024 &&
                 target_split(request->target, &path, &query);
    if (request->target.size && !split && request->target.data[0] == '/' &&
        request->target.size > (uint64_t)limit(exchange, OPTION_PATH_MAX)) {
        exchange_problem(exchange, 414, "The request target is longer than this server takes.");
        return;
    }
    if (!split || !header_token_valid(request->method)) {
        exchange_problem(exchange, 400, "The request line is malformed.");
        return;
    }
    exchange->path = path;
    exchange->query = query;
    exchange->prefer = prefer_of(request);
    exchange->accept = coding_accept_parse(request->accept_encoding);
    check_sizes(exchange);
}
