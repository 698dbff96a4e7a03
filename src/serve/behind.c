#include "serve/behind.h"

#include "queue/behind.h"
#include "serve/queued.h"

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
    struct queued queued;
    struct queue_behind_write write;
};

/* False: the exchange is settled. */
static bool draft_make(struct exchange *exchange, struct draft *draft)
{
    const struct route *route = exchange->served->route;
    struct queued *queued = &draft->queued;
    *draft = (struct draft){.exchange = exchange};
    if (!queued_make(exchange, queued))
        return false;
    draft->write =
        (struct queue_behind_write){.route = span_of(route->name),
                                    .owner = span_of(queued->owner),
                                    .document = queued->document,
                                    .bound = route->behind.bound,
                                    .once = queued->once.wanted ? queued->key : NULL,
                                    .once_for = queued->once.wanted ? queued->content : NULL};
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

static const enum queued_refusal refusals[] = {
    [QUEUE_BEHIND_OTHER] = QUEUED_OTHER,
    [QUEUE_BEHIND_ROOM] = QUEUED_ROOM,
    [QUEUE_BEHIND_AWAY] = QUEUED_AWAY,
    [QUEUE_BEHIND_UNKNOWN] = QUEUED_UNKNOWN,
};

static void answer(const struct draft *draft)
{
    struct exchange *exchange = draft->exchange;
    enum queue_behind_outcome outcome = draft->write.outcome;
    if (outcome == QUEUE_BEHIND_BOUND) {
        answer_bound(exchange, draft->queued.once.wanted);
        return;
    }
    if (outcome > QUEUE_BEHIND_AGAIN) {
        queued_refuse(exchange, refusals[outcome]);
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
    queued_log(&event);
    for (size_t i = 0; i < ready; i++)
        answer(&drafts[i]);
}

void behind_run(struct server *server, struct redis_connection *connection,
                struct exchange *const *exchanges, size_t count)
{
    struct draft drafts[QUEUE_BATCH];
    size_t ready = 0;
    for (size_t i = 0; i < count && i < QUEUE_BATCH; i++)
        if (queued_possible(exchanges[i],
                            "This server's database has no record of writes to be made later.") &&
            draft_make(exchanges[i], &drafts[ready]))
            ready++;
    if (ready)
        add(server, connection, drafts, ready);
}
