#include "serve/filing.h"

#include "queue/bell.h"
#include "queue/file.h"
#include "route/template.h"
#include "serve/behind.h"
#include "serve/installed.h"
#include "serve/queue_page.h"
#include "serve/queued.h"
#include "serve/steps.h"

/* When a client may look for the first time: seconds. */
#define LOOK_AFTER "1"

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
    struct queued queued;
    char dedupe[QUEUE_DIGEST_SIZE];
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

/*
 * One principal's calls of one route are alike when their places have the same values. Callers who
 * don't say who they are may be several: theirs are alike when all they ask for is the same.
 */
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
    const struct span parts[] = {
        SPAN_LITERAL("dedupe"), span_of(route->name), span_of(draft->queued.owner),
        bytes_span(&text), draft->queued.owner[0] ? (struct span){0} : draft->queued.document};
    if (text.failed)
        return error_set_memory(error);
    draft->filing.dedupe = draft->dedupe;
    return queue_digest(parts, ARRAY_COUNT(parts), draft->dedupe, error);
}

/* False: the exchange is settled. */
static bool draft_make(struct exchange *exchange, struct draft *draft)
{
    const struct route *route = exchange->served->route;
    struct queued *queued = &draft->queued;
    *draft = (struct draft){.exchange = exchange};
    if (!queued_make(exchange, queued))
        return false;
    draft->filing = (struct queue_filing){
        .route = span_of(route->name),
        .version = span_of(exchange->served->version.hex),
        .owner = span_of(queued->owner),
        .document = queued->document,
        .now = exchange->now,
        .retries = route->async.retries,
        .timeout = route->async.timeout ? route->async.timeout : exchange->timeout,
        .statements = route->before_count + 1,
        .once = queued->once.wanted ? queued->key : NULL,
        .once_for = queued->once.wanted ? queued->content : NULL,
    };
    if (dedupe_make(draft, NULL))
        return true;
    exchange_memory(exchange);
    return false;
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

static const enum queued_refusal refusals[] = {
    [QUEUE_OUTCOME_OTHER] = QUEUED_OTHER,
    [QUEUE_OUTCOME_FULL] = QUEUED_ROOM,
    [QUEUE_OUTCOME_AWAY] = QUEUED_AWAY,
    [QUEUE_OUTCOME_UNKNOWN] = QUEUED_UNKNOWN,
};

/* *ret_awaited: set where the client waits for the job itself. */
static void answer(struct draft *draft, bool *ret_awaited)
{
    struct exchange *exchange = draft->exchange;
    enum queue_outcome outcome = draft->filing.outcome;
    if (outcome <= QUEUE_OUTCOME_AGAIN) {
        answer_filed(exchange, draft->filing.id);
        if (outcome == QUEUE_OUTCOME_AGAIN)
            exchange_header(exchange, "Idempotent-Replayed", "true");
        exchange->filed = exchange->prefer.wait <= 0 && outcome == QUEUE_OUTCOME_FILED;
        if (exchange->prefer.wait > 0) {
            queue_page_wait(exchange, draft->filing.id, outcome == QUEUE_OUTCOME_AGAIN);
            *ret_awaited = true;
        }
        return;
    }
    queued_refuse(exchange, refusals[outcome]);
}

static void file(struct server *server, struct redis_connection *connection, struct draft *drafts,
                 size_t count, bool alone)
{
    struct queue_filing *filings[QUEUE_BATCH];
    struct error event = {0};
    int64_t budget = options_number(server->options, OPTION_REDIS_TIMEOUT);
    bool awaited = false;
    for (size_t i = 0; i < count; i++)
        filings[i] = &drafts[i].filing;
    redis_set_keen(connection, alone);
    queue_file(server->queue, connection, filings, count, &budget, &event);
    redis_set_keen(connection, false);
    queued_log(&event);
    for (size_t i = 0; i < count; i++)
        answer(&drafts[i], &awaited);
    if (awaited)
        queue_bell_ring(server->queue, connection, true);
}

void filing_run(struct server *server, struct redis_connection *connection,
                struct exchange *const *exchanges, size_t count, bool alone)
{
    struct draft drafts[QUEUE_BATCH];
    size_t ready = 0;
    for (size_t i = 0; i < count; i++)
        if (queued_possible(exchanges[i], "This server's database has no record of jobs.") &&
            draft_make(exchanges[i], &drafts[ready]))
            ready++;
    if (ready)
        file(server, connection, drafts, ready, alone);
}
