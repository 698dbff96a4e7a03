#include "serve/page_link.h"

#include "http/link.h"
#include "http/target.h"
#include "serve/page.h"

/* A Link line must leave room for the other fields in what a web server takes as an answer's head.
 */
#define LINK_MAX 8192

void page_bind(struct binding *binding)
{
    const struct exchange *exchange = binding->exchange;
    const struct served *served = exchange->served;
    const struct route_page *page = &served->route->page;
    if (!page->column_count)
        return;
    const unsigned index = served->route->statement.param_of[page->cursor - 1];
    const struct value *value = &binding->by_param[index];
    const struct cursor_owner owner = {exchange->server->etag_key, served->route->name,
                                       &served->version};
    const char *problem;
    if (value->state == VALUE_TEXT &&
        !cursor_check(&owner, page->column_count, value->text, exchange->desk->arena, &problem))
        binding_complain(binding, &served->route->params[index], problem);
}

/* Does the route take the pair, and is it not the cursor? */
static bool pair_kept(const struct exchange *exchange, struct span pair)
{
    const struct route *route = exchange->served->route;
    const int cursor = (int)route->statement.param_of[route->page.cursor - 1];
    struct span name;
    struct error error;
    if (!percent_decode(span_first(pair, span_find(pair, '=')), true, exchange->desk->arena, &name,
                        &error))
        return false;
    int param = route_param_find(route, name);
    return param >= 0 && param != cursor && route->params[param].place == PLACE_QUERY;
}

/* The request's own target, as it was written, but for the cursor and what the route ignores. */
static void append_target(const struct exchange *exchange, struct span cursor, struct bytes *out)
{
    bytes_append_span(out, exchange->path);
    char sign = '?';
    for (struct span rest = exchange->query; rest.data;) {
        struct span pair = span_split(&rest, '&');
        if (!pair_kept(exchange, pair))
            continue;
        bytes_append_byte(out, sign);
        bytes_append_span(out, pair);
        sign = '&';
    }
    if (!cursor.size)
        return;
    bytes_append_format(out, "%ccursor=%.*s", sign, SPAN_PRINTF(cursor));
}

static void append_relation(const struct exchange *exchange, struct span cursor,
                            const char *relation, struct bytes *out)
{
    struct bytes target CLEANUP(bytes_free) = BYTES_EMPTY;
    size_t before = out->size;
    append_target(exchange, cursor, &target);
    link_write(bytes_span(&target), relation, out);
    if (out->size > LINK_MAX)
        out->size = before;
    out->failed = out->failed || target.failed;
}

void page_append_link(const struct exchange *exchange, struct bytes *head)
{
    const struct entry_meta *meta = &exchange->meta;
    const struct route *route = exchange->served->route;
    struct bytes links CLEANUP(bytes_free) = BYTES_EMPTY;
    if (!route->page.column_count)
        return;
    if (meta->next.size)
        append_relation(exchange, meta->next, "next", &links);
    if (meta->previous.size)
        append_relation(exchange, meta->previous, "prev", &links);
    if (page_cursor(route, exchange->values))
        append_relation(exchange, (struct span){0}, "first", &links);
    if (links.size)
        bytes_append_format(head, "Link: %s\r\n", bytes_text(&links));
    head->failed = head->failed || links.failed;
}
