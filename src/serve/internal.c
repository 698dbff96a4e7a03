#include "serve/internal.h"

#include "base/route_stats.h"

/* Frees the text. */
static void answer_text(struct exchange *exchange, struct span type, struct bytes *text)
{
    struct span body =
        text->failed ? (struct span){0} : arena_span(exchange->desk->arena, bytes_span(text));
    bytes_free(text);
    if (!body.size) {
        exchange_memory(exchange);
        return;
    }
    exchange_settle(exchange, 200, type, body);
    exchange_header(exchange, "Cache-Control", "no-store");
}

static void answer_metrics(struct exchange *exchange)
{
    struct bytes text = BYTES_EMPTY;
    counters_append_prometheus(exchange->server->counters, &text);
    answer_text(exchange, SPAN_LITERAL("text/plain; version=0.0.4; charset=utf-8"), &text);
}

static void answer_stats(struct exchange *exchange)
{
    struct bytes text = BYTES_EMPTY;
    route_stats_append_json(exchange->server->counters, &text);
    answer_text(exchange, SPAN_LITERAL("application/json"), &text);
}

static void answer_health(struct exchange *exchange)
{
    exchange_settle(exchange, 200, SPAN_LITERAL("application/json"),
                    SPAN_LITERAL("{\"status\":\"up\"}"));
    exchange_header(exchange, "Cache-Control", "no-store");
}

static const struct page {
    const char *path;
    void (*answer)(struct exchange *exchange);
} pages[] = {
    {"/_larder/metrics", answer_metrics},
    {"/_larder/health", answer_health},
    {"/_larder/stats", answer_stats},
};

static bool method_is_read(const struct exchange *exchange)
{
    return span_is(exchange->request.method, "GET") || exchange->head_only;
}

static void answer_page(struct exchange *exchange, const struct page *page)
{
    if (method_is_read(exchange)) {
        page->answer(exchange);
        return;
    }
    if (span_is(exchange->request.method, "OPTIONS"))
        exchange_settle(exchange, 204, (struct span){0}, (struct span){0});
    else
        exchange_problem(exchange, 405, "Larder's own pages are only read.");
    exchange_header(exchange, "Allow", "OPTIONS, GET, HEAD");
}

bool internal_answer(struct exchange *exchange)
{
    if (!span_starts(exchange->path, "/_larder/"))
        return false;
    exchange->counters = exchange->server->internal;
    for (size_t i = 0; i < ARRAY_COUNT(pages); i++) {
        if (!span_is(exchange->path, pages[i].path))
            continue;
        answer_page(exchange, &pages[i]);
        return true;
    }
    exchange_problem(exchange, 404, "Larder has no such page.");
    return true;
}
