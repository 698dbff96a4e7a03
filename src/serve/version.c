#include "serve/version.h"

#include "serve/answer.h"
#include "serve/steps.h"

static void given_take(struct exchange *exchange)
{
    char text[VERSION_MAX + 1];
    exchange->version_kind = version_tag_read(exchange->request.if_match, text);
    if (exchange->version_kind == VERSION_GIVEN || exchange->version_kind == VERSION_OTHER)
        exchange->overtaken = version_answer;
    if (exchange->version_kind == VERSION_SEVERAL)
        exchange_problem(exchange, 400, "If-Match must name one version of the resource, or be *.");
    if (exchange->version_kind != VERSION_GIVEN)
        return;
    exchange->version = arena_span(exchange->desk->arena, span_of(text));
    if (!exchange->version.data)
        exchange_memory(exchange);
}

void version_ask(struct exchange *exchange)
{
    const struct route *route = exchange->served->route;
    if (route->method == METHOD_GET || !route->version.column.size)
        return;
    if (exchange->request.if_match.data)
        given_take(exchange);
    else if (route->version.required)
        exchange_problem(exchange, 428,
                         "Send If-Match with the ETag that a GET of the resource had, so that no "
                         "change made since is overwritten.");
}

/* The read at the same path with the same query, by the same client; false: there is none. */
static bool read_begin(const struct exchange *exchange, struct exchange *ret_read)
{
    const struct route *route = exchange->match.by_method[METHOD_GET];
    if (!route || !route->version.column.size)
        return false;
    *ret_read = exchange_for_read(exchange, route);
    ret_read->path = exchange->path;
    ret_read->query = exchange->query;
    ret_read->match = exchange->match;
    ret_read->accept = exchange->accept;
    return true;
}

/* Settles with the entity tag of now; null: it is not known. */
static void answer_passed(struct exchange *exchange, const char *tag)
{
    exchange_problem(exchange, 412,
                     "The resource does not have the version that If-Match names: read it again.");
    if (tag)
        exchange_header(exchange, "ETag", tag);
}

static void answer_gone(struct exchange *exchange)
{
    const struct problem problem = answer_missing(exchange->served->route, exchange->path);
    exchange_problem_whole(exchange, &problem);
}

/* Has the read the very version that was asked for? Then the write's row is missing otherwise. */
static bool is_asked_for(const struct exchange *exchange, const char *tag)
{
    char version[VERSION_MAX + 1];
    return exchange->version_kind == VERSION_GIVEN &&
           version_tag_read(span_of(tag), version) == VERSION_GIVEN &&
           span_is(exchange->version, version);
}

static void answer_by(struct exchange *exchange, const struct exchange *read)
{
    bool filled = read->phase == PHASE_FILLED;
    unsigned status = filled ? read->meta.status : read->status;
    const char *tag = NULL;
    if (status == 200)
        tag = arena_format(exchange->desk->arena, "\"%s\"",
                           entry_tag_of(&read->meta, CODING_IDENTITY).text);
    if (status == 404 || (tag && is_asked_for(exchange, tag)))
        answer_gone(exchange);
    else
        answer_passed(exchange, tag);
}

void version_answer(struct exchange *exchange)
{
    struct exchange read;
    if (exchange->recording || !read_begin(exchange, &read)) {
        answer_passed(exchange, NULL);
        return;
    }
    static step_function *const way[] = {step_authenticate, step_bind, step_query};
    for (size_t i = 0; i < ARRAY_COUNT(way) && read.phase == PHASE_SEEKING; i++)
        way[i](&read);
    answer_by(exchange, &read);
    exchange_end(&read);
}
