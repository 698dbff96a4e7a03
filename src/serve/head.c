#include "serve/head.h"

#include "http/status.h"
#include "serve/limits.h"
#include "serve/steps.h"

void head_line(struct bytes *head, const char *name, struct span value)
{
    bytes_append_text(head, name);
    bytes_append_text(head, ": ");
    bytes_append_span(head, value);
    bytes_append_text(head, "\r\n");
}

void head_status(unsigned status, struct bytes *head)
{
    bytes_append_text(head, "Status: ");
    bytes_append_number(head, status);
    bytes_append_byte(head, ' ');
    bytes_append_text(head, status_reason(status));
    bytes_append_text(head, "\r\n");
}

static void append_timing(const struct exchange *exchange, struct bytes *head)
{
    if (!exchange->profile)
        return;
    bytes_append_text(head, "Server-Timing: ");
    steps_append_timing(exchange, head);
    bytes_append_text(head, "\r\n");
}

/* Is there a Vary line in the head already? */
static bool has_vary(struct span head)
{
    while (head.data) {
        struct span line = span_split(&head, '\n');
        if (span_is_nocase(span_first(line, line.size < 5 ? line.size : 5), "Vary:"))
            return true;
    }
    return false;
}

/* Errors too say who may read them; Larder's own pages are for nobody else's. */
static void append_cors(const struct exchange *exchange, struct bytes *head)
{
    const struct server *server = exchange->server;
    if (!server->cors || exchange->counters == server->internal)
        return;
    if (cors_varies(server->cors) && !has_vary(bytes_span(head)))
        bytes_append_text(head, "Vary: Origin\r\n");
    cors_append(server->cors, exchange->request.origin, head);
}

void head_end(const struct exchange *exchange, struct bytes *head)
{
    limits_append(exchange, head);
    append_cors(exchange, head);
    append_timing(exchange, head);
    bytes_append_text(head, "\r\n");
}
