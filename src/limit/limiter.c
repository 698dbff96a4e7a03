#include "limit/limiter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/digest.h"
#include "limit/local.h"
#include "redis/breaker.h"
#include "redis/script.h"

/*
 * KEYS: a request's counts. ARGV: interval and largest debt (µs) of each. A key holds when its debt
 * is made up for, by Redis' clock. Reply: whether the request passed, and each debt after that. A
 * debt above the largest means that the clock was set back; it is written anew, or it would stay.
 */
static const char decide_text[] =
    "local time = redis.call('TIME')\n"
    "local now = time[1] * 1000000 + time[2]\n"
    "local known = redis.call('MGET', unpack(KEYS))\n"
    "local debts, broken, passes = {}, {}, true\n"
    "for i = 1, #KEYS do\n"
    "  local debt, most = (tonumber(known[i]) or 0) - now, tonumber(ARGV[2 * i])\n"
    "  broken[i] = debt > most + 1\n"
    "  if not (debt > 0) then debt = 0 elseif debt > most then debt = most end\n"
    "  passes = passes and debt + ARGV[2 * i - 1] <= most + 0.0001\n"
    "  debts[i] = debt\n"
    "end\n"
    "for i = 1, #KEYS do\n"
    "  if passes then debts[i] = debts[i] + ARGV[2 * i - 1] end\n"
    "  if passes or broken[i] then\n"
    "    redis.call('SET', KEYS[i], string.format('%.3f', now + debts[i]), 'PX', "
    "math.ceil(debts[i] / 1000))\n"
    "  end\n"
    "  debts[i] = string.format('%.3f', debts[i])\n"
    "end\n"
    "return (passes and '1 ' or '0 ') .. table.concat(debts, ' ')\n";

/* The prefix is at most 64 bytes. */
#define KEY_SIZE 96
#define NUMBER_SIZE 40

struct limiter {
    struct limiter_settings settings;
    struct breaker breaker;
    struct redis_resolver *resolver; /* null: without Redis */
    struct redis_script script;
    struct local *local;
};

struct limiter *limiter_new(const struct limiter_settings *settings)
{
    struct limiter *limiter = calloc(1, sizeof *limiter);
    if (!limiter)
        return NULL;
    limiter->settings = *settings;
    breaker_init(&limiter->breaker, settings->probe);
    limiter->local = local_new();
    if (settings->present)
        limiter->resolver = redis_resolver_new(&limiter->settings.address);
    if (limiter->local && (limiter->resolver || !settings->present) &&
        redis_script_init(&limiter->script, decide_text, NULL))
        return limiter;
    limiter_free(limiter);
    return NULL;
}

void limiter_free(struct limiter *limiter)
{
    if (!limiter)
        return;
    redis_resolver_free(limiter->resolver);
    local_free(limiter->local);
    free(limiter);
}

bool limiter_resolve(struct limiter *limiter, int64_t now, struct error *error)
{
    return !limiter->resolver ||
           redis_resolver_tick(limiter->resolver, breaker_is_open(&limiter->breaker), now, error);
}

bool limiter_connection(const struct limiter *limiter, struct redis_connection **ret_connection)
{
    *ret_connection = NULL;
    if (limiter->settings.present)
        *ret_connection = redis_connection_new(&limiter->settings.address, limiter->resolver);
    return *ret_connection || !limiter->settings.present;
}

bool limiter_name(const char *scope, const char *kind, struct span subject,
                  char ret_name[static LIMITER_NAME_SIZE], struct error *error)
{
    unsigned char digest[DIGEST_SIZE];
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    bytes_append_text(&text, scope);
    bytes_append_byte(&text, '\n');
    bytes_append_text(&text, kind);
    bytes_append_byte(&text, '\n');
    bytes_append_span(&text, subject);
    if (text.failed)
        return error_set_memory(error);
    if (!digest_sha256(bytes_span(&text), digest, error))
        return false;
    digest_base64url(digest, 16, ret_name);
    return true;
}

static void count(struct limiter *limiter, enum counter counter, size_t amount)
{
    counters_add(limiter->settings.counters, counter, (int64_t)amount);
}

bool limiter_knows(struct limiter *limiter, struct limit_request *request)
{
    int64_t now = clock_monotonic();
    bool over = false;
    for (size_t i = 0; i < request->count; i++) {
        struct limit_count *each = &request->counts[i];
        each->debt = local_debt(limiter->local, span_of(each->name), now);
        over = over || !rate_passes(&each->rate, each->debt);
    }
    if (over) {
        request->outcome = LIMITER_REFUSED;
        count(limiter, COUNTER_LIMIT_REMEMBERED, 1);
    }
    return over;
}

/* Without Redis: all counts pass, or those before the one that refuses are given back. */
static void decide_alone(struct limiter *limiter, struct limit_request *request)
{
    int64_t now = clock_monotonic();
    size_t taken = 0;
    while (taken < request->count &&
           local_take(limiter->local, span_of(request->counts[taken].name),
                      &request->counts[taken].rate, now, &request->counts[taken].debt))
        taken++;
    request->outcome = limiter->settings.present ? LIMITER_AWAY : LIMITER_PASSED;
    if (taken == request->count)
        return;
    request->outcome = LIMITER_REFUSED;
    for (size_t i = 0; i < request->count; i++) {
        struct limit_count *each = &request->counts[i];
        if (i < taken)
            local_give_back(limiter->local, span_of(each->name), &each->rate);
        if (i != taken)
            each->debt = local_debt(limiter->local, span_of(each->name), now);
    }
}

/* What one request's script is given. */
struct words {
    char keys[LIMITER_COUNTS][KEY_SIZE];
    char numbers[2 * LIMITER_COUNTS][NUMBER_SIZE];
    struct span key_spans[LIMITER_COUNTS], number_spans[2 * LIMITER_COUNTS];
};

static struct redis_script_call call_write(const struct limiter *limiter,
                                           const struct limit_request *request, struct words *out)
{
    for (size_t i = 0; i < request->count; i++) {
        const struct limit_count *each = &request->counts[i];
        snprintf(out->keys[i], KEY_SIZE, "%s:r:%s", limiter->settings.prefix, each->name);
        snprintf(out->numbers[2 * i], NUMBER_SIZE, "%.17g", each->rate.interval);
        snprintf(out->numbers[2 * i + 1], NUMBER_SIZE, "%.17g", each->rate.most);
        out->key_spans[i] = span_of(out->keys[i]);
        out->number_spans[2 * i] = span_of(out->numbers[2 * i]);
        out->number_spans[2 * i + 1] = span_of(out->numbers[2 * i + 1]);
    }
    return (struct redis_script_call){.script = &limiter->script,
                                      .keys = out->key_spans,
                                      .key_count = request->count,
                                      .arguments = out->number_spans,
                                      .argument_count = 2 * request->count};
}

/* Reads "1 600000.000 …"; false: it is no answer of the script's. */
static bool reply_read(struct span reply, struct limit_request *request)
{
    struct span rest = reply;
    struct span verdict = span_split(&rest, ' ');
    if (!span_is(verdict, "1") && !span_is(verdict, "0"))
        return false;
    for (size_t i = 0; i < request->count; i++) {
        char text[NUMBER_SIZE], *end;
        struct span debt = span_split(&rest, ' ');
        if (debt.size == 0 || debt.size >= sizeof text)
            return false;
        memcpy(text, debt.data, debt.size);
        text[debt.size] = '\0';
        request->counts[i].debt = strtod(text, &end);
        if (*end || !isfinite(request->counts[i].debt))
            return false;
    }
    request->outcome = span_is(verdict, "1") ? LIMITER_PASSED : LIMITER_REFUSED;
    return rest.data == NULL;
}

/* Debts as of `asked`, before which Redis can't have counted: what is known is never too much. */
static void learn(struct limiter *limiter, const struct limit_request *request, int64_t asked)
{
    for (size_t i = 0; i < request->count; i++)
        local_learn(limiter->local, span_of(request->counts[i].name), request->counts[i].debt,
                    asked);
}

/* Takes what Redis said to each request; how many it decided. *error says why not all. */
static size_t replies_take(struct limiter *limiter, struct limit_request *const *requests,
                           size_t request_count, struct redis_reply *const *replies, int64_t asked,
                           struct error *error)
{
    size_t good = 0;
    for (size_t i = 0; i < request_count; i++) {
        if (reply_read(redis_reply_text(replies[i]), requests[i])) {
            learn(limiter, requests[i], asked);
            good++;
            continue;
        }
        struct span refusal = redis_reply_error(replies[i]);
        error_set(error, ERROR_UNAVAILABLE, "Redis: %.*s",
                  SPAN_PRINTF(refusal.data ? refusal : SPAN_LITERAL("an answer of another kind")));
        decide_alone(limiter, requests[i]);
    }
    return good;
}

static void failed(struct limiter *limiter, size_t requests, const struct error *failure,
                   struct error *ret_event)
{
    bool was_open = breaker_is_open(&limiter->breaker), opened = false;
    for (size_t i = 0; i < requests; i++)
        opened = breaker_failed(&limiter->breaker, clock_monotonic()) || opened;
    if (opened)
        error_set(ret_event, failure->kind,
                  "each process counts for itself until it answers again: %.400s", failure->text);
    else if (!was_open)
        error_set(ret_event, failure->kind, "%.400s", failure->text);
}

static void succeeded(struct limiter *limiter, struct error *ret_event)
{
    if (breaker_succeeded(&limiter->breaker))
        error_set(ret_event, ERROR_NONE, "Redis answers again");
}

/* False: nobody has decided yet. */
static bool decide_in_redis(struct limiter *limiter, struct redis_connection *connection,
                            struct limit_request *const *requests, size_t request_count,
                            int64_t *budget, struct error *ret_event)
{
    struct words words[LIMITER_BATCH];
    struct redis_script_call calls[LIMITER_BATCH];
    struct redis_reply *replies[LIMITER_BATCH];
    struct error failure;
    for (size_t i = 0; i < request_count; i++)
        calls[i] = call_write(limiter, requests[i], &words[i]);
    int64_t asked = clock_monotonic();
    bool answered =
        redis_script_run(connection, calls, request_count, asked + *budget, replies, &failure);
    *budget -= clock_monotonic() - asked;
    if (!answered) {
        failed(limiter, request_count, &failure, ret_event);
        return false;
    }
    size_t good = replies_take(limiter, requests, request_count, replies, asked, &failure);
    for (size_t i = 0; i < request_count; i++)
        redis_reply_free(replies[i]);
    if (good < request_count)
        failed(limiter, request_count - good, &failure, ret_event);
    else
        succeeded(limiter, ret_event);
    count(limiter, COUNTER_LIMIT_DECISIONS, good);
    return true;
}

void limiter_decide(struct limiter *limiter, struct redis_connection *connection,
                    struct limit_request *const *requests, size_t request_count, int64_t *budget,
                    struct error *ret_event)
{
    bool asks = connection && *budget >= REDIS_LEAST &&
                breaker_allows(&limiter->breaker, clock_monotonic());
    bool decided =
        asks && decide_in_redis(limiter, connection, requests, request_count, budget, ret_event);
    for (size_t i = 0; !decided && i < request_count; i++)
        decide_alone(limiter, requests[i]);
    for (size_t i = 0; i < request_count; i++)
        if (requests[i]->outcome == LIMITER_AWAY)
            count(limiter, COUNTER_LIMIT_AWAY, 1);
}
