#include "serve/queued.h"

#include "base/log.h"
#include "queue/record.h"
#include "serve/installed.h"
#include "serve/write_ready.h"

bool queued_possible(struct exchange *exchange, const char *unrecorded)
{
    const struct server *server = exchange->server;
    if (!server->queue)
        exchange_problem(exchange, 503, "The server has no queue to make writes later.");
    else if (installed_jobs(server) == INSTALLED_NO)
        exchange_problem(exchange, 501, unrecorded);
    else
        return true;
    return false;
}

/* False: the exchange is settled. */
static bool once_make(struct exchange *exchange, struct queued *queued)
{
    if (!once_read(exchange, &queued->once))
        return false;
    if (!queued->once.wanted)
        return true;
    digest_base64url(queued->once.key, 16, queued->key);
    digest_base64url(queued->once.body, 16, queued->content);
    return true;
}

static bool document_make(struct exchange *exchange, struct queued *queued)
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
    queued->document = bytes_span(document);
    return !document->failed;
}

bool queued_make(struct exchange *exchange, struct queued *ret_queued)
{
    const struct principal *principal = exchange->principal;
    if (!write_ready(exchange) || !once_make(exchange, ret_queued))
        return false;
    if (queue_owner(principal ? principal->identity : (struct span){0}, ret_queued->owner, NULL) &&
        document_make(exchange, ret_queued))
        return true;
    exchange_memory(exchange);
    return false;
}

static const struct refusal {
    unsigned status;
    const char *detail;
    const char *retry_after; /* null: none */
} refusals[] = {
    [QUEUED_OTHER] = {422,
                      "This Idempotency-Key was used for another request: give each request "
                      "a key of its own.",
                      NULL},
    [QUEUED_ROOM] = {503, "The queue of writes to be made later has no room.", "5"},
    [QUEUED_AWAY] = {503, "The queue of writes to be made later can't be reached.", "1"},
    [QUEUED_UNKNOWN] = {503,
                        "The queue of writes to be made later did not answer: the write may "
                        "be made, or not.",
                        "1"},
};

void queued_refuse(struct exchange *exchange, enum queued_refusal refusal)
{
    exchange_problem(exchange, refusals[refusal].status, refusals[refusal].detail);
    if (refusals[refusal].retry_after)
        exchange_header(exchange, "Retry-After", refusals[refusal].retry_after);
}

void queued_log(const struct error *event)
{
    if (event->text[0])
        log_event(event->kind == ERROR_NONE ? LOG_INFO : LOG_WARNING, "queue", "%s", event->text);
}
