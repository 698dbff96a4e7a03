#include "serve/write_answer.h"

#include "base/log.h"
#include "route/template.h"
#include "serve/answer.h"

/* What a segment of a path may have as it is (RFC 3986, section 2.3). */
static bool is_unreserved(char byte)
{
    char lower = (char)(byte | 0x20);
    return (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9') ||
           (byte && strchr("-._~", byte));
}

void write_path_segment(struct span text, struct bytes *out)
{
    for (size_t i = 0; i < text.size; i++) {
        if (is_unreserved(text.data[i]))
            bytes_append_byte(out, text.data[i]);
        else
            bytes_append_format(out, "%%%02X", (unsigned char)text.data[i]);
    }
}

/* Null data: it has none. */
static struct span place_value(const struct exchange *exchange, struct span name)
{
    const struct learned_write *write = &exchange->learned->write;
    for (size_t i = 0; i < write->column_count; i++)
        if (span_is(name, write->columns[i]))
            return db_result_value(exchange->result, 0, (int)i + 1);
    const struct value *value = exchange_parameter(exchange, name);
    return value && value->state == VALUE_TEXT ? value->text : (struct span){0};
}

/* Segments that lead elsewhere, however they are written (RFC 3986, section 5.2.4). */
static bool has_dots(struct span path)
{
    while (path.data) {
        struct span segment = span_split(&path, '/');
        if (span_is(segment, ".") || span_is(segment, ".."))
            return true;
    }
    return false;
}

bool write_path(const struct exchange *exchange, struct span path, struct bytes *out)
{
    struct span literal, name;
    while (template_next(&path, &literal, &name)) {
        bytes_append_span(out, literal);
        struct span value = name.data ? place_value(exchange, name) : (struct span){0};
        if (name.data && value.size == 0)
            return false;
        write_path_segment(value, out);
    }
    return !out->failed && !has_dots(bytes_span(out));
}

/* Did the statement give a row, or is it one that gives none? */
static bool row_came(const struct exchange *exchange)
{
    const struct learned_write *write = &exchange->learned->write;
    if (!write->shaped)
        return true;
    struct span body = answer_body(exchange->result);
    if (write->shape == DB_SHAPE_NONE)
        return !span_is(body, "0");
    return body.data && !(write->shape == DB_SHAPE_ROWS && span_is(body, "[]"));
}

/* "/feeds/17"; null: the route names none, or there is no row to name. */
static const char *location(const struct exchange *exchange)
{
    const struct route *route = exchange->served->route;
    struct bytes path CLEANUP(bytes_free) = BYTES_EMPTY;
    if (!route->location.size || !row_came(exchange))
        return NULL;
    if (write_path(exchange, route->location, &path))
        return arena_text(exchange->desk->arena, bytes_span(&path));
    log_event(LOG_WARNING, "write",
              "%s: @location: a place has no value that a path can have, so no Location is sent",
              route->name);
    return NULL;
}

void write_answer_missing(struct exchange *exchange)
{
    if (exchange->overtaken) {
        exchange->overtaken(exchange);
        return;
    }
    const struct problem problem = answer_missing(exchange->served->route, exchange->path);
    exchange_problem_whole(exchange, &problem);
}

static void headers(struct exchange *exchange, const char *place)
{
    if (exchange->served->route->control.size)
        exchange->settled_head = exchange->served->head;
    else
        exchange_header(exchange, "Cache-Control", "no-store");
    if (place)
        exchange_header(exchange, "Location", place);
}

void write_answer(struct exchange *exchange)
{
    const struct learned_write *write = &exchange->learned->write;
    bool bodiless = !write->shaped || write->shape == DB_SHAPE_NONE;
    if (exchange->overtaken && !row_came(exchange)) {
        exchange->overtaken(exchange);
        return;
    }
    if (!bodiless && !answer_body(exchange->result).data) {
        write_answer_missing(exchange);
        return;
    }
    const char *place = location(exchange);
    if (bodiless)
        exchange_settle(exchange, place ? 201 : 204, (struct span){0}, (struct span){0});
    else
        exchange_settle(exchange, place ? 201 : 200, SPAN_LITERAL("application/json"),
                        answer_body(exchange->result));
    headers(exchange, place);
}
