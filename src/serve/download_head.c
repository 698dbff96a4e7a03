#include "serve/download_head.h"

#include "http/disposition.h"
#include "http/media.h"
#include "route/template.h"
#include "serve/head.h"
#include "serve/nginx.h"

#define DOWNLOAD_CACHE_STATUS "larder; fwd=bypass"

static const struct format_row {
    const char *type;    /* what Accept names */
    const char *content; /* Content-Type */
    const char *ending;  /* of a file's name */
} format_rows[FORMAT_COUNT] = {
    /* RFC 7111, RFC 4180 */
    [FORMAT_CSV] = {"text/csv", "text/csv; charset=utf-8; header=present", ".csv"},
    [FORMAT_NDJSON] = {"application/x-ndjson", "application/x-ndjson", ".ndjson"},
    [FORMAT_JSON] = {"application/json", "application/json", ".json"},
};

bool download_format(const struct exchange *exchange, enum route_format *ret_format)
{
    const struct route_stream *stream = &exchange->served->route->stream;
    const char *types[FORMAT_COUNT];
    size_t index;
    for (size_t i = 0; i < stream->format_count; i++)
        types[i] = format_rows[stream->formats[i]].type;
    if (!media_choose(exchange->request.accept, types, stream->format_count, &index))
        return false;
    *ret_format = stream->formats[index];
    return true;
}

const char *download_types(const struct exchange *exchange)
{
    const struct route_stream *stream = &exchange->served->route->stream;
    const char *list = "";
    for (size_t i = 0; i < stream->format_count && list; i++)
        list = arena_format(exchange->desk->arena, "%s%s%s", list, i ? ", " : "",
                            format_rows[stream->formats[i]].type);
    return list;
}

/* Without the ending of a format, whose place the one that is sent takes. */
static struct span name_without_ending(struct span name)
{
    for (size_t i = 0; i < FORMAT_COUNT; i++) {
        size_t size = strlen(format_rows[i].ending);
        if (name.size > size &&
            span_is_nocase(span_from(name, name.size - size), format_rows[i].ending))
            return span_first(name, name.size - size);
    }
    return name;
}

static void append_name(const struct exchange *exchange, struct span name, struct bytes *out)
{
    struct span literal, place;
    while (template_next(&name, &literal, &place)) {
        bytes_append_span(out, literal);
        const struct value *value = place.data ? exchange_parameter(exchange, place) : NULL;
        if (value && value->state == VALUE_TEXT)
            disposition_append_safe(value->text, out);
    }
}

/* A place at its end must not choose what kind of file the client keeps. */
static bool ending_wanted(struct span name, struct span bare)
{
    return bare.size < name.size || name.data[name.size - 1] == '}';
}

static void append_disposition(const struct exchange *exchange, enum route_format format,
                               struct bytes *head)
{
    struct span name = exchange->served->route->stream.filename;
    struct span bare = name_without_ending(name);
    struct bytes filled CLEANUP(bytes_free) = BYTES_EMPTY, whole CLEANUP(bytes_free) = BYTES_EMPTY;
    if (!name.size)
        return;
    const char *ending = ending_wanted(name, bare) ? format_rows[format].ending : "";
    append_name(exchange, bare, &filled);
    bytes_append_span(&whole, disposition_cut(bytes_span(&filled), strlen(ending)));
    bytes_append_text(&whole, ending);
    bytes_append_text(head, "Content-Disposition: ");
    disposition_write(bytes_span(&whole), head);
    bytes_append_text(head, "\r\n");
    head->failed = head->failed || filled.failed || whole.failed;
}

bool download_is_held(const struct exchange *exchange)
{
    return span_is(span_trim(exchange->request.if_none_match), "*");
}

void download_held(struct exchange *exchange)
{
    exchange_settle(exchange, 304, (struct span){0}, (struct span){0});
    exchange->settled_head = exchange->served->head;
    exchange_header(exchange, "Cache-Status", DOWNLOAD_CACHE_STATUS);
}

bool download_head_write(struct exchange *exchange, enum route_format format, bool gzip,
                         struct bytes *head)
{
    bytes_clear(head);
    head_status(200, head);
    nginx_append(exchange, 200, head);
    head_line(head, "Content-Type", span_of(format_rows[format].content));
    append_disposition(exchange, format, head);
    bytes_append_span(head, exchange->served->head);
    head_line(head, "Cache-Status", span_of(DOWNLOAD_CACHE_STATUS));
    if (gzip)
        bytes_append_text(head, "Content-Encoding: gzip\r\n");
    head_end(exchange, head);
    return !head->failed;
}
