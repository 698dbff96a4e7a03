#include "serve/exchange.h"

#include "base/clock.h"
#include "serve/answer.h"

bool exchange_detach(struct exchange *exchange)
{
    unsigned count = exchange->served->route->statement.parameter_count;
    for (unsigned i = 0; i < count; i++) {
        struct span *text = &exchange->values[i].text;
        if (exchange->values[i].state != VALUE_TEXT)
            continue;
        text->data = arena_text(exchange->desk->arena, *text);
        if (!text->data)
            return false;
    }
    exchange->request = (struct request){0};
    exchange->path = exchange->query = (struct span){0};
    exchange->writer = NULL;
    return true;
}

struct exchange exchange_for_read(const struct exchange *exchange, const struct route *route)
{
    struct exchange read = {.desk = exchange->desk,
                            .server = exchange->server,
                            .phase = PHASE_SEEKING,
                            .started = clock_monotonic(),
                            .now = clock_wall(),
                            .request = exchange->request,
                            .live = live_ref(exchange->live),
                            .timeout = answer_timeout(
                                route, options_number(exchange->server->options, OPTION_TIMEOUT))};
    read.served = live_find(read.live, route);
    read.counters = read.served->counters;
    return read;
}

void exchange_end(struct exchange *exchange)
{
    if (exchange->watch)
        exchange->watch_end(exchange);
    redis_reply_free(exchange->reply);
    redis_reply_free(exchange->lookup.found.reply);
    kept_unref(exchange->kept);
    exchange->lookup.found.reply = NULL;
    exchange->kept = NULL;
    db_result_free(exchange->result);
    live_unref(exchange->live);
    exchange->reply = NULL;
    exchange->result = NULL;
    exchange->live = NULL;
}
