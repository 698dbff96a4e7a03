#include "serve/filing.h"

#include "base/log.h"
#include "queue/file.h"
#include "queue/record.h"
#include "route/template.h"
#include "serve/behind.h"
#include "serve/installed.h"
#include "serve/once.h"
#include "serve/queue_page.h"
#include "serve/steps.h"
#include "serve/write_ready.h"

/* When a client may look for the first time: seconds. */
#define LOOK_AFTER "1"

/* When a client may try again that found no room: seconds. */
#define ROOM_AFTER "5"

bool filing_wanted(const struct exchange *exchange)
{
    const struct route_async *async = &exchange->served->route->async;
    if (!async->present)
        return false;
    return !async->preferred || (exchange->prefer.respond_async && exchange->server->queue &&
                                 installed_jobs(exchange->server) != INSTALLED_NO);
}

bool filing_ready(const struct exchange *exchange)
{
    return filing_wanted(exchange) && !exchange->binding && exchange->version_kind != VERSION_OTHER;
}

/* A longer body is not for a front to read. */
#define BODY_QUICK 4096

void filing_body(struct exchange *exchange)
{
    uint64_t length;
    if (exchange->whole && exchange->binding &&
        (filing_wanted(exchange) || behind_quick(exchange)) &&
        request_content_length(&exchange->request, &length) && length <= BODY_QUICK)
        step_body(exchange);
}

/* A filing and the texts that it points to. */
struct draft {
    struct exchange *exchange;
    struct once once;
    char owner[QUEUE_OWNER_SIZE];
    char dedupe[QUEUE_DIGEST_SIZE], key[QUEUE_DIGEST_SIZE], content[QUEUE_DIGEST_SIZE];
    struct queue_filing filing;
};

static void place_append(const struct exchange *exchange, struct span name, struct bytes *out)
{
    const struct value *value = exchange_parameter(exchange, name);
    if (value && value->state == VALUE_TEXT) {
        bytes_append_format(out, "%zu:", value->text.size);
        bytes_append_span(out, value->text);
    } else {
        bytes_append_byte(out, '-');
    }
}

/* One principal's calls of one route are alike when their places have the same values. */
static bool dedupe_make(struct draft *draft, struct error *error)
{
    const struct exchange *exchange = draft->exchange;
    const struct route *route = exchange->served->route;
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    struct span rest = route->async.dedupe, literal, name;
    if (!rest.size)
        return true;
    while (template_next(&rest, &literal, &name)) {
        bytes_append_span(&text, literal);
        if (name.data)
            place_append(exchange, name, &text);
    }
    const struct span parts[] = {SPAN_LITERAL("dedupe"), span_of(route->name),
                                 span_of(draft->owner), bytes_span(&text)};
    if (text.failed)
        return error_set_memory(error);
    draft->filing.dedupe = draft->dedupe;
    return queue_digest(parts, ARRAY_COUNT(parts), draft->dedupe, error);
}

/* False: the exchange is settled. */
static bool once_make(struct draft *draft)
{
    if (!once_read(draft->exchange, &draft->once))
        return false;
    if (!draft->once.wanted)
        return true;
    digest_base64url(draft->once.key, 16, draft->key);
    digest_base64url(draft->once.body, 16, draft->content);
    draft->filing.once = draft->key;
    draft->filing.once_for = draft->content;
    return true;
}

static bool document_make(struct draft *draft)
{
    struct exchange *exchange = draft->exchange;
    struct bytes *document = &exchange->desk->document;
    const struct queue_record record = {
        .values = exchange->by_param,
        .role = exchange->identity ? exchange->identity->role : NULL,
        .claims = exchange->identity ? exchange->identity->claims : NULL,
    };
    bytes_clear(document);
    queue_record_write(exchange->served->route, &record, document);
    draft->filing.document = bytes_span(document);
    return !document->failed;
}

/* False: the exchange is settled. */
static bool draft_make(struct exchange *exchange, struct draft *ret_draft)
{
    const struct route *route = exchange->served->route;
    const struct principal *principal = exchange->principal;
    *ret_draft = (struct draft){
        .exchange = exchange,
        .filing = {.route = span_of(route->name),
                   .version = span_of(exchange->served->version.hex),
                   .now = exchange->now,
                   .retries = route->async.retries,
                   .timeout = route->async.timeout ? route->async.timeout : exchange->timeout,
                   .statements = route->before_count + 1},
    };
    if (!write_ready(exchange) || !once_make(ret_draft))
        return false;
    if (!queue_owner(principal ? principal->identity : (struct span){0}, ret_draft->owner, NULL) ||
        !dedupe_make(ret_draft, NULL) || !document_make(ret_draft)) {
        exchange_memory(exchange);
        return false;
    }
    ret_draft->filing.owner = span_of(ret_draft->owner);
    return true;
}

static void answer_filed(struct exchange *exchange, const char *id)
{
    exchange_settle(exchange, 202, SPAN_LITERAL("application/json"),
                    SPAN_LITERAL("{\"status\":\"processing\"}"));
    exchange_header(exchange, "Cache-Control", "no-store");
    exchange_header(exchange, "Location", arena_format(exchange->desk->arena, "/jobs/%s", id));
    exchange_header(exchange, "Retry-After", LOOK_AFTER);
    if (exchange->prefer.respond_async)
        exchange_header(exchange, "Preference-Applied", "respond-async");
}

/* What is answered where there is no job. */
static const struct refusal {
    unsigned status;
    const char *detail;
    const char *retry_after; /* null: none */
} refusals[] = {
    [QUEUE_OUTCOME_OTHER] = {422,
                             "This Idempotency-Key was used for another request: give each request "
                             "a key of its own.",
                             NULL},
    [QUEUE_OUTCOME_FULL] = {503, "The queue of writes to be made later has no room.", ROOM_AFTER},
    [QUEUE_OUTCOME_AWAY] = {503, "The queue of writes to be made later can't be reached.", "1"},
    [QUEUE_OUTCOME_UNKNOWN] = {503,
                               "The queue of writes to be made later did not answer: the write may "
                               "be made, or not.",
                               "1"},
};

static void answer(struct draft *draft)
{
    struct exchange *exchange = draft->exchange;
    enum queue_outcome outcome = draft->filing.outcome;
    if (outcome <= QUEUE_OUTCOME_AGAIN) {
        answer_filed(exchange, draft->filing.id);
        if (outcome == QUEUE_OUTCOME_AGAIN)
            exchange_header(exchange, "Idempotent-Replayed", "true");
        if (exchange->prefer.wait > 0)
            queue_page_wait(exchange, draft->filing.id, outcome == QUEUE_OUTCOME_AGAIN);
        return;
    }
    const struct refusal *refusal = &refusals[outcome];
    exchange_problem(exchange, refusal->status, refusal->detail);
    if (refusal->retry_after)
        exchange_header(exchange, "Retry-After", refusal->retry_after);
}

static void file(struct server *server, struct redis_connection *connection, struct draft *drafts,
                 size_t count)
{
    struct queue_filing *filings[QUEUE_BATCH];
    struct error event = {0};
    int64_t budget = options_number(server->options, OPTION_REDIS_TIMEOUT);
    for (size_t i = 0; i < count; i++)
        filings[i] = &drafts[i].filing;
    queue_file(server->queue, connection, filings, count, &budget, &event);
    if (event.text[0])
        log_event(event.kind == ERROR_NONE ? LOG_INFO : LOG_WARNING, "queue", "%s", event.text);
    for (size_t i = 0; i < count; i++)
        answer(&drafts[i]);
}

void filing_run(struct server *server, struct redis_connection *connection,
                struct exchange *const *exchanges, size_t count)
{
    struct draft drafts[QUEUE_BATCH];
    size_t ready = 0;
    for (size_t i = 0; i < count; i++) {
        if (!server->queue)
            exchange_problem(exchanges[i], 503, "The server has no queue to make writes later.");
        else if (installed_jobs(server) == INSTALLED_NO)
            exchange_problem(exchanges[i], 501, "This server's database has no record of jobs.");
        else if (draft_make(exchanges[i], &drafts[ready]))
            ready++;
    }
    if (ready)
        file(server, connection, drafts, ready);
}
