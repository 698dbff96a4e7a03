/*
 * The body of a write: the step body. It is read here, in a hand, since the web server may pass it
 * on as slowly as the client sends it, or in a front where all of it has arrived; and only when
 * everything that can be refused by the head alone has been.
 */
#include "http/media.h"
#include "serve/fields.h"
#include "serve/steps.h"

/* Bodies whose length is not known are read so much at a time. */
#define PIECE ((size_t)16 * 1024)

static bool settled(struct exchange *exchange, unsigned status, const char *detail)
{
    exchange_problem(exchange, status, detail);
    return false;
}

/* All of the body up to one byte more than there may be. */
static bool bytes_read(struct exchange *exchange, size_t most, uint64_t length)
{
    struct bytes *body = &exchange->desk->body;
    size_t piece = length ? (size_t)length + 1 : PIECE, got;
    bytes_clear(body);
    do {
        char *room = bytes_reserve(body, piece);
        if (!room) {
            exchange_memory(exchange);
            return false;
        }
        if (!reader_read(exchange->reader, room, piece, &got))
            return settled(exchange, 400, "The body broke off.");
        body->size += got;
        body->data[body->size] = '\0';
    } while (got == piece && body->size <= most);
    return true;
}

/* Reads the body; false: it is not as long as it may be or is said to be. */
static bool body_read(struct exchange *exchange)
{
    uint64_t length;
    size_t most = (size_t)options_number(exchange->server->options, OPTION_BODY_MAX);
    const struct bytes *body = &exchange->desk->body;
    if (!request_content_length(&exchange->request, &length) || !bytes_read(exchange, most, length))
        return false;
    if (body->size > most)
        return settled(exchange, 413, "The body is larger than this server takes.");
    if (exchange->request.content_length.size && body->size != length)
        return settled(exchange, 400, "The body is not as long as Content-Length says.");
    exchange->body = bytes_span(body);
    return true;
}

typedef bool fields_binder(struct binding *binding, struct span body);

/* The types a body may have; a route that takes the whole of it takes JSON alone. */
static const struct content {
    const char *type;
    fields_binder *bind;
    bool whole;
} contents[] = {
    {"application/json", fields_bind_json, true},
    {"application/x-www-form-urlencoded", fields_bind_form, false},
};

static bool takes_whole(const struct route *route)
{
    for (size_t i = 0; i < route->param_count; i++)
        if (route->params[i].place == PLACE_WHOLE_BODY)
            return true;
    return false;
}

static bool is_json_kind(struct span type)
{
    const size_t suffix = strlen("+json");
    return type.size > suffix && strncasecmp(type.data, "application/", 12) == 0 &&
           span_is_nocase(span_from(type, type.size - suffix), "+json");
}

static const struct content *content_of(const struct exchange *exchange)
{
    struct span type, charset;
    if (!media_type_read(exchange->request.content_type, &type, &charset) ||
        (charset.data && !span_is_nocase(charset, "utf-8")))
        return NULL;
    if (is_json_kind(type))
        return &contents[0];
    bool whole = takes_whole(exchange->served->route);
    for (size_t i = 0; i < ARRAY_COUNT(contents); i++)
        if (span_is_nocase(type, contents[i].type) && (contents[i].whole || !whole))
            return &contents[i];
    return NULL;
}

/* Where the types are named that the method takes (RFC 5789, Accept-Post, RFC 9110 15.5.16). */
static const char *const accept_fields[METHOD_COUNT] = {
    [METHOD_GET] = "Accept",         [METHOD_POST] = "Accept-Post", [METHOD_PUT] = "Accept",
    [METHOD_PATCH] = "Accept-Patch", [METHOD_DELETE] = "Accept",
};

static void answer_other_type(struct exchange *exchange)
{
    const struct route *route = exchange->served->route;
    bool whole = takes_whole(route);
    exchange_problem(exchange, 415,
                     whole ? "The body's Content-Type must be application/json, in UTF-8."
                           : "The body's Content-Type must be application/json or "
                             "application/x-www-form-urlencoded, in UTF-8.");
    exchange_header(exchange, accept_fields[route->method],
                    whole ? "application/json"
                          : "application/json, application/x-www-form-urlencoded");
}

static void answer_other_coding(struct exchange *exchange)
{
    exchange_problem(exchange, 415, "The body must come without a Content-Encoding.");
    exchange_header(exchange, "Accept-Encoding", "identity");
}

static bool is_coded(const struct exchange *exchange)
{
    struct span coding = span_trim(exchange->request.content_encoding);
    return coding.size && !span_is_nocase(coding, "identity");
}

void step_body(struct exchange *exchange)
{
    struct binding *binding = exchange->binding;
    if (!binding || !body_read(exchange))
        return;
    const struct content *content = exchange->body.size ? content_of(exchange) : NULL;
    bool bound = false;
    if (!exchange->body.size)
        fields_bind_none(binding);
    else if (is_coded(exchange))
        answer_other_coding(exchange);
    else if (!content)
        answer_other_type(exchange);
    else
        bound = content->bind(binding, exchange->body);
    if (bound || !exchange->body.size)
        binding_end(binding);
}
