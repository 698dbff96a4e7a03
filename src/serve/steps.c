#include "serve/steps.h"

#include "base/clock.h"
#include "base/log.h"

/* In the order of the parts, which the walk of one relies on. */
const struct step steps[] = {
    {"receive", step_receive, PHASE_SEEKING, PART_READ},
    {"match", step_match, PHASE_SEEKING, PART_READ},
    {"pool", step_pool, PHASE_SEEKING, PART_READ},
    {"authenticate", step_authenticate, PHASE_SEEKING, PART_READ},
    {"limit", step_limit, PHASE_SEEKING, PART_READ},
    {"bind", step_bind, PHASE_SEEKING, PART_READ},
    {"limit-param", step_limit_param, PHASE_SEEKING, PART_READ},
    {"admit", step_admit, PHASE_ANY, PART_SEEK},
    {"key", step_key, PHASE_SEEKING, PART_SEEK},
    {"memory", step_memory, PHASE_SEEKING, PART_SEEK},
    {"lookup", step_lookup, PHASE_SEEKING, PART_LOOK},
    {"body", step_body, PHASE_SEEKING, PART_FILL},
    {"kv", step_kv, PHASE_SEEKING, PART_FILL},
    {"file", step_file, PHASE_SEEKING, PART_FILL},
    {"write", step_write, PHASE_SEEKING, PART_FILL},
    {"stream", step_stream, PHASE_SEEKING, PART_FILL},
    {"query", step_query, PHASE_SEEKING, PART_FILL},
    {"compress", step_compress, PHASE_FILLED, PART_FILL},
    {"store", step_store, PHASE_ANY, PART_FILL},
    {"share", step_share, PHASE_ANY, PART_FILL},
    {"suit", step_suit, PHASE_FILLED | PHASE_HELD, PART_ANSWER},
    {"precondition", step_precondition, PHASE_FILLED | PHASE_HELD, PART_ANSWER},
    {"respond", step_respond, PHASE_ANY, PART_ANSWER},
    {"after", step_after, PHASE_ANY | PHASE_SENT, PART_ANSWER},
};

const size_t step_count = ARRAY_COUNT(steps);

_Static_assert(ARRAY_COUNT(steps) <= STEP_COUNT_MAX, "exchange.step_ends has a place a step");

/* Times are read only where somebody will see them. */
static bool timed(const struct exchange *exchange)
{
    return exchange->profile || options_number(exchange->server->options, OPTION_TRACE) ||
           options_number(exchange->server->options, OPTION_PROFILE);
}

static void trace(const struct exchange *exchange)
{
    struct bytes line = BYTES_EMPTY;
    steps_append_timing(exchange, &line);
    log_event(LOG_DEBUG, "steps", "%.*s %.*s %u %s", SPAN_PRINTF(exchange->request.method),
              SPAN_PRINTF(exchange->path), exchange->status, bytes_text(&line));
    bytes_free(&line);
}

void steps_walk(struct exchange *exchange, enum part part)
{
    bool watched = timed(exchange);
    for (size_t i = 0; i < step_count && steps[i].part <= part; i++) {
        if (steps[i].part != part || !(steps[i].phases & exchange->phase))
            continue;
        steps[i].run(exchange);
        if (watched)
            exchange->step_ends[i] = clock_monotonic();
    }
    if (watched && part == PART_ANSWER && options_number(exchange->server->options, OPTION_TRACE))
        trace(exchange);
}

void steps_append_timing(const struct exchange *exchange, struct bytes *out)
{
    int64_t begin = exchange->started;
    const char *comma = "";
    for (size_t i = 0; i < step_count; i++) {
        if (!exchange->step_ends[i])
            continue;
        bytes_append_format(out, "%s%s;dur=%.3f", comma, steps[i].name,
                            (double)(exchange->step_ends[i] - begin) / 1000);
        comma = ", ";
        begin = exchange->step_ends[i];
    }
}
