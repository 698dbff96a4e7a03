#include "serve/behind.h"

#include "base/log.h"
#include "queue/behind.h"
#include "queue/record.h"
#include "serve/installed.h"
#include "serve/once.h"
#include "serve/write_ready.h"

bool behind_wanted(const struct exchange *exchange)
{
    return exchange->served->route->behind.present;
}

bool behind_quick(const struct exchange *exchange)
{
    return behind_wanted(exchange) && !exchange->served->route->behind.full_now;
}

bool behind_ready(const struct exchange *exchange)
{
    return behind_quick(exchange) && !exchange->binding && exchange->version_kind != VERSION_OTHER;
}

/* A write to be queued and the texts that it points to. */
struct draft {
    struct exchange *exchange;
    struct once once;
    char owner[QUEUE_OWNER_SIZE], key[QUEUE_DIGEST_SIZE], content[QUEUE_DIGEST_SIZE];
    struct queue_behind_write write;
};

/* False: the exchange is settled. */
static bool once_make(struct exchange *exchange, struct draft *draft)
{
    if (!once_read(exchange, &draft->once))
        return false;
    if (!draft->once.wanted)
        return true;
    digest_base64url(draft->once.key, 16, draft->key);
    digest_base64url(draft->once.body, 16, draft->content);
    draft->write.once = draft->key;
    draft->write.once_for = draft->content;
    return true;
}

static bool document_make(struct exchange *exchange, struct draft *draft)
{
    const struct db_identity *identity = exchange->identity;
    struct bytes *document = &exchange->desk->document;
    const struct queue_record record = {
        .values = exchange->by_param,
        .role = identity ? identity->role : NULL,
        .claims = identity ? identity->claims : NULL,
    };
    bytes_clear(document);
    queue_record_write(exchange->served->route, &record, document);
    draft->write.document = bytes_span(document);
    return !document->failed;
}

/* False: the exchange is settled. */
static bool draft_make(struct exchange *exchange, struct draft *draft)
{
    const struct principal *principal = exchange->principal;
    const struct route *route = exchange->served->route;
    *draft = (struct draft){.exchange = exchange,
                            .write = {.route = span_of(route->name), .bound = route->behind.bound}};
    if (!write_ready(exchange) || !once_make(exchange, draft))
        return false;
    if (!queue_owner(principal ? principal->identity : (struct span){0}, draft->owner, NULL) ||
        !document_make(exchange, draft)) {
        exchange_memory(exchange);
        return false;
    }
    draft->write.owner = span_of(draft->owner);
    return true;
}

static void count(struct exchange *exchange, enum counter counter)
{
    counters_add(exchange->server->counters, counter, 1);
}

static void answer_accepted(struct exchange *exchange)
{
    exchange_settle(exchange, 202, SPAN_LITERAL("application/json"),
                    SPAN_LITERAL("{\"status\":\"accepted\"}"));
    exchange_header(exchange, "Cache-Control", "no-store");
}

/* A batch's time from now there is room, or PostgreSQL is away. */
static void answer_bound(struct exchange *exchange, bool once)
{
    const struct route_behind *behind = &exchange->served->route->behind;
    int64_t seconds = (behind->every + 999999) / 1000000;
    if (behind->full_now && !once) {
        count(exchange, COUNTER_BEHIND_AT_ONCE);
        return;
    }
    exchange_problem(exchange, 429, "As many writes to this route wait as may: try again later.");
    exchange_header(exchange, "Retry-After",
                    arena_format(exchange->desk->arena, "%lld", (long long)seconds));
    count(exchange, COUNTER_BEHIND_REFUSED);
}

/* What is answered where it is not known to be queued. */
static const struct refusal {
    unsigned status;
    const char *detail;
    const char *retry_after; /* null: none */
} refusals[] = {
    [QUEUE_BEHIND_OTHER] = {422,
                            "This Idempotency-Key was used for another request: give each request "
                            "a key of its own.",
                            NULL},
    [QUEUE_BEHIND_ROOM] = {503, "The queue of writes to be made later has no room.", "5"},
    [QUEUE_BEHIND_AWAY] = {503, "The queue of writes to be made later can't be reached.", "1"},
    [QUEUE_BEHIND_UNKNOWN] = {503,
                              "The queue of writes to be made later did not answer: the write may "
                              "be made, or not.",
                              "1"},
};

static void answer_refused(struct exchange *exchange, const struct refusal *refusal)
{
    exchange_problem(exchange, refusal->status, refusal->detail);
    if (refusal->retry_after)
        exchange_header(exchange, "Retry-After", refusal->retry_after);
}

static void answer(const struct draft *draft)
{
    struct exchange *exchange = draft->exchange;
    enum queue_behind_outcome outcome = draft->write.outcome;
    if (outcome == QUEUE_BEHIND_BOUND) {
        answer_bound(exchange, draft->once.wanted);
        return;
    }
    if (outcome > QUEUE_BEHIND_AGAIN) {
        answer_refused(exchange, &refusals[outcome]);
        return;
    }
    answer_accepted(exchange);
    if (outcome == QUEUE_BEHIND_AGAIN)
        exchange_header(exchange, "Idempotent-Replayed", "true");
    else
        count(exchange, COUNTER_BEHIND_QUEUED);
}

static void add(struct server *server, struct redis_connection *connection, struct draft *drafts,
                size_t ready)
{
    struct queue_behind_write *writes[QUEUE_BATCH];
    struct error event = {0};
    int64_t budget = options_number(server->options, OPTION_REDIS_TIMEOUT);
    for (size_t i = 0; i < ready; i++)
        writes[i] = &drafts[i].write;
    queue_behind_add(server->queue, connection, writes, ready, &budget, &event);
    if (event.text[0])
        log_event(event.kind == ERROR_NONE ? LOG_INFO : LOG_WARNING, "queue", "%s", event.text);
    for (size_t i = 0; i < ready; i++)
        answer(&drafts[i]);
}

/* The server has not what it takes. */
static bool unqueued(struct exchange *exchange)
{
    const struct server *server = exchange->server;
    if (!server->queue)
        exchange_problem(exchange, 503, "The server has no queue to make writes later.");
    else if (installed_jobs(server) == INSTALLED_NO)
        exchange_problem(exchange, 501,
                         "This server's database has no record of writes to be made later.");
    return exchange->phase != PHASE_SEEKING;
}

void behind_run(struct server *server, struct redis_connection *connection,
                struct exchange *const *exchanges, size_t count)
{
    struct draft drafts[QUEUE_BATCH];
    size_t ready = 0;
    for (size_t i = 0; i < count && i < QUEUE_BATCH; i++)
        if (!unqueued(exchanges[i]) && draft_make(exchanges[i], &drafts[ready]))
            ready++;
    if (ready)
        add(server, connection, drafts, ready);
}
