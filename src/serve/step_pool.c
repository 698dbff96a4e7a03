/*
 * Downloads are sent by processes of their own, so that none takes a thread or a connection that
 * the API needs. Which routes these are only the route files know: so the web server asks the API
 * of each, and is led on, by X-Accel-Redirect, to where LARDER_EXPORT says it finds the others.
 */
#include "serve/steps.h"

/* What nginx calls a named location; a path would be asked for anew, as a GET. */
static bool names_location(struct span text)
{
    return text.size > 1 && text.data[0] == '@';
}

/* Nothing but that: nginx adds what else stands here to the answer that comes from there. */
static void lead_on(struct exchange *exchange, struct span location)
{
    char *head =
        arena_format(exchange->desk->arena, "X-Accel-Redirect: %.*s\r\n", SPAN_PRINTF(location));
    if (!head) {
        exchange_memory(exchange);
        return;
    }
    exchange_settle(exchange, 200, (struct span){0}, (struct span){0});
    exchange->settled_head = span_of(head);
    exchange->led_on = true;
}

void step_pool(struct exchange *exchange)
{
    struct span location = exchange->request.export_location;
    if (exchange->served && exchange->served->route->stream.format_count &&
        names_location(location))
        lead_on(exchange, location);
}
