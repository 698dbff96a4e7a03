/*
 * The last steps: precondition, respond, after.
 */
#include "base/clock.h"
#include "base/log.h"
#include "http/precondition.h"
#include "http/vary.h"
#include "serve/head.h"
#include "serve/nginx.h"
#include "serve/page_link.h"
#include "serve/steps.h"

static enum precondition_verdict judge(const struct exchange *exchange)
{
    const struct request *request = &exchange->request;
    struct entry_tags tags;
    entry_tags_of(&exchange->meta, &tags);
    const struct precondition_headers headers = {.if_match = request->if_match,
                                                 .if_unmodified_since =
                                                     request->if_unmodified_since,
                                                 .if_none_match = request->if_none_match,
                                                 .if_modified_since = request->if_modified_since};
    const struct precondition_state state = {
        .exists = true, .tags = tags.spans, .tag_count = CODING_COUNT, .last_modified = -1};
    return precondition_evaluate(&headers, &state, true);
}

static void append_cache_status(struct exchange *exchange, struct bytes *head)
{
    bytes_append_text(head, "Cache-Status: ");
    cache_status_write(&exchange->cache, head);
    bytes_append_text(head, "\r\n");
}

static void append_age(const struct exchange *exchange, struct bytes *head)
{
    int64_t age = exchange->now - exchange->meta.created;
    bytes_append_text(head, "Age: ");
    bytes_append_number(head, age > 0 ? age / 1000000 : 0);
    bytes_append_text(head, "\r\n");
}

/* The header lines that a 200 and its 304 share (RFC 9110, section 15.4.5). */
static void append_validators(struct exchange *exchange, enum coding coding, struct bytes *head)
{
    struct entry_tag tag = entry_tag_of(&exchange->meta, coding);
    bytes_append_text(head, "ETag: \"");
    bytes_append_text(head, tag.text);
    bytes_append_text(head, "\"\r\n");
    bytes_append_span(head, exchange->served->head);
    append_cache_status(exchange, head);
    if (exchange->cache.hit)
        append_age(exchange, head);
}

static void settle_not_modified(struct exchange *exchange)
{
    struct bytes head = BYTES_EMPTY;
    enum coding coding = CODING_IDENTITY;
    if (!coding_choose(&exchange->accept, exchange->meta.variants, &coding))
        coding = CODING_IDENTITY;
    append_validators(exchange, coding, &head);
    struct span copy = arena_span(exchange->desk->arena, bytes_span(&head));
    bytes_free(&head);
    if (!copy.data) {
        exchange_memory(exchange);
        return;
    }
    exchange_settle(exchange, 304, (struct span){0}, (struct span){0});
    exchange->settled_head = copy;
    counters_add(exchange->server->counters, COUNTER_NOT_MODIFIED, 1);
}

/* Conditions count only where the answer would be a success (RFC 9110, section 13.2.1). */
void step_precondition(struct exchange *exchange)
{
    enum coding coding;
    if (exchange->meta.status != 200)
        return;
    if (!coding_choose(&exchange->accept, exchange->meta.variants, &coding)) {
        exchange_problem(exchange, 406, "No coding that the client accepts is available.");
        return;
    }
    switch (judge(exchange)) {
    case PRECONDITION_PROCEED:
        break;
    case PRECONDITION_NOT_MODIFIED:
        settle_not_modified(exchange);
        break;
    case PRECONDITION_FAILED:
        exchange_problem(exchange, 412, "The resource does not have the version asked for.");
        break;
    }
}

static void append_length(uint64_t length, struct bytes *head)
{
    bytes_append_text(head, "Content-Length: ");
    bytes_append_number(head, (int64_t)length);
    bytes_append_text(head, "\r\n");
}

/*
 * The length is the body's own, so that no answer can promise more than it sends; a HEAD, which may
 * hold metadata alone, has it from there.
 */
static uint64_t entry_length(const struct exchange *exchange, enum coding coding)
{
    return exchange->head_only ? exchange->meta.sizes[coding] : exchange->bodies[coding].size;
}

static void append_entry_head(struct exchange *exchange, enum coding coding, struct bytes *head)
{
    head_line(head, "Content-Type", exchange->meta.type);
    if (!exchange->served->control_first)
        nginx_append(exchange, 200, head);
    append_validators(exchange, coding, head);
    if (exchange->served->control_first)
        nginx_append(exchange, 200, head);
    if (coding != CODING_IDENTITY)
        head_line(head, "Content-Encoding", span_of(coding_names[coding]));
    page_append_link(exchange, head);
    append_length(entry_length(exchange, coding), head);
}

/* A kept 404 has no Cache-Control of the route's: whoever else keeps it asks again. */
static void append_missing_control(const struct exchange *exchange, struct bytes *head)
{
    const struct cors *cors = exchange->server->cors;
    bool somebody = exchange->served->route->auth.kind != AUTH_NONE;
    unsigned vary =
        (somebody ? VARY_AUTHORIZATION : 0U) | (cors && cors_varies(cors) ? VARY_ORIGIN : 0U);
    bytes_append_text(head, somebody ? "Cache-Control: private, no-cache\r\n"
                                     : "Cache-Control: no-cache\r\n");
    if (!vary)
        return;
    bytes_append_text(head, "Vary: ");
    vary_write(vary, head);
    bytes_append_text(head, "\r\n");
}

static void append_missing_head(struct exchange *exchange, struct bytes *head)
{
    head_line(head, "Content-Type", exchange->meta.type);
    nginx_append(exchange, exchange->status, head);
    append_missing_control(exchange, head);
    append_cache_status(exchange, head);
    if (exchange->cache.hit)
        append_age(exchange, head);
    append_length(entry_length(exchange, CODING_IDENTITY), head);
}

static struct span head_for_entry(struct exchange *exchange, struct bytes *head)
{
    enum coding coding = CODING_IDENTITY;
    exchange->status = exchange->meta.status;
    head_status(exchange->status, head);
    if (exchange->status == 200 &&
        coding_choose(&exchange->accept, exchange->meta.variants, &coding))
        append_entry_head(exchange, coding, head);
    else
        append_missing_head(exchange, head);
    return exchange->bodies[coding];
}

static struct span head_for_settled(struct exchange *exchange, struct bytes *head)
{
    head_status(exchange->status, head);
    nginx_append(exchange, exchange->status, head);
    if (exchange->settled_type.size)
        head_line(head, "Content-Type", exchange->settled_type);
    bytes_append_span(head, exchange->settled_head);
    if (exchange->status != 304 && exchange->status != 204)
        append_length(exchange->settled_body.size, head);
    return exchange->settled_body;
}

void step_respond(struct exchange *exchange)
{
    struct bytes *head = &exchange->desk->head;
    bytes_clear(head);
    struct span body = exchange->phase == PHASE_SETTLED ? head_for_settled(exchange, head)
                                                        : head_for_entry(exchange, head);
    head_end(exchange, head);
    if (head->failed) {
        static const char poor[] = "Status: 503 Service Unavailable\r\nRetry-After: 1\r\n"
                                   "Cache-Control: no-store\r\nContent-Length: 0\r\n\r\n";
        exchange->status = 503;
        writer_write(exchange->writer, span_of(poor));
        return;
    }
    if (writer_write(exchange->writer, bytes_span(head)) && !exchange->head_only)
        writer_write(exchange->writer, body);
}

/* A download is slow when it begins late: how long it takes is its reader's matter too. */
void step_after(struct exchange *exchange)
{
    int64_t now = clock_monotonic();
    int64_t duration = (exchange->opened ? exchange->opened : now) - exchange->started;
    int64_t slow = options_number(exchange->server->options, OPTION_SLOW);
    if (exchange->led_on)
        return;
    counters_request(exchange->counters, exchange->status, exchange->tier, now - exchange->started);
    if (slow && duration > slow)
        log_event(LOG_WARNING, "slow", "%.*s %.*s took %.1f ms: status %u",
                  SPAN_PRINTF(exchange->request.method), SPAN_PRINTF(exchange->path),
                  (double)duration / 1000, exchange->status);
}
