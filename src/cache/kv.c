#include "cache/kv.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "cache/store_base.h"

/* One call on one value. */
struct call {
    struct cache_store *store;
    struct redis_connection *connection;
    char key[STORE_NAME_SIZE + KV_NAME_MAX];
    size_t key_size;
    int64_t *budget;
    struct error *event;
};

/* False: the name is too long. */
static bool call_begin(struct call *call, struct span name)
{
    int prefix = snprintf(call->key, sizeof call->key, "%s:v:", call->store->settings.prefix);
    if (prefix < 0 || (size_t)prefix >= STORE_NAME_SIZE || name.size > KV_NAME_MAX)
        return false;
    memcpy(call->key + prefix, name.data, name.size);
    call->key_size = (size_t)prefix + name.size;
    return true;
}

static struct span call_key(const struct call *call)
{
    return (struct span){.data = call->key, .size = call->key_size};
}

/* Replies, error replies among them, under the rules of the breaker and the budget. */
static bool call_run(struct call *call, const struct redis_command *commands, size_t count,
                     struct redis_reply **ret_replies)
{
    struct error failure;
    if (!store_allowed(call->store, 1, *call->budget))
        return false;
    int64_t begin = clock_monotonic();
    bool answered =
        redis_ask(call->connection, commands, count, begin + *call->budget, ret_replies, &failure);
    *call->budget -= clock_monotonic() - begin;
    if (answered)
        store_succeeded(call->store, call->connection, call->event);
    else
        store_failed(call->store, 1, &failure, call->event);
    return answered;
}

/* A full or read-only Redis answers, but does not do what it is told. */
static enum kv_outcome refused(struct call *call, const struct redis_reply *reply)
{
    counters_add(call->store->settings.counters, COUNTER_REDIS_STORE_ERRORS, 1);
    store_refused(call->store, redis_reply_error(reply), call->event);
    return KV_AWAY;
}

static enum kv_outcome change(struct call *call, const struct span *words, size_t count,
                              bool *ret_existed)
{
    const struct redis_command command = {words, count};
    struct redis_reply *reply;
    if (!call_run(call, &command, 1, &reply))
        return KV_AWAY;
    enum kv_outcome outcome = redis_reply_error(reply).data ? refused(call, reply) : KV_DONE;
    *ret_existed = redis_reply_number(reply, 0) != 0;
    redis_reply_free(reply);
    return outcome;
}

enum kv_outcome kv_set(struct cache_store *store, struct redis_connection *connection,
                       struct span name, struct span value, int64_t ttl, int64_t *budget,
                       struct error *ret_event)
{
    struct call call = {
        .store = store, .connection = connection, .budget = budget, .event = ret_event};
    char milliseconds[24];
    bool existed;
    if (!call_begin(&call, name))
        return KV_AWAY;
    snprintf(milliseconds, sizeof milliseconds, "%" PRId64, (ttl + 999) / 1000);
    const struct span words[] = {SPAN_LITERAL("SET"), call_key(&call), value, SPAN_LITERAL("PX"),
                                 span_of(milliseconds)};
    return change(&call, words, ttl ? ARRAY_COUNT(words) : ARRAY_COUNT(words) - 2, &existed);
}

enum kv_outcome kv_delete(struct cache_store *store, struct redis_connection *connection,
                          struct span name, int64_t *budget, struct error *ret_event)
{
    struct call call = {
        .store = store, .connection = connection, .budget = budget, .event = ret_event};
    bool existed;
    if (!call_begin(&call, name))
        return KV_MISSING;
    const struct span words[] = {SPAN_LITERAL("DEL"), call_key(&call)};
    enum kv_outcome outcome = change(&call, words, ARRAY_COUNT(words), &existed);
    return outcome == KV_DONE && !existed ? KV_MISSING : outcome;
}

static enum kv_outcome value_outcome(struct call *call, const struct redis_reply *reply)
{
    struct span problem = redis_reply_error(reply);
    if (problem.data && !span_starts(problem, "WRONGTYPE"))
        return refused(call, reply);
    return redis_reply_text(reply).data ? KV_DONE : KV_MISSING;
}

/* The replies to GET and PTTL; a value whose time ended between the two has none left. */
static enum kv_outcome take(struct call *call, struct redis_reply *replies[2],
                            struct kv_found *ret_found)
{
    int64_t left = redis_reply_number(replies[1], 0);
    enum kv_outcome outcome = value_outcome(call, replies[0]);
    redis_reply_free(replies[1]);
    if (outcome == KV_DONE)
        *ret_found = (struct kv_found){.value = redis_reply_text(replies[0]),
                                       .left = left > 0     ? left * 1000
                                               : left == -1 ? -1
                                                            : 0,
                                       .reply = replies[0]};
    else
        redis_reply_free(replies[0]);
    return outcome;
}

enum kv_outcome kv_get(struct cache_store *store, struct redis_connection *connection,
                       struct span name, int64_t *budget, struct kv_found *ret_found,
                       struct error *ret_event)
{
    struct call call = {
        .store = store, .connection = connection, .budget = budget, .event = ret_event};
    struct redis_reply *replies[2];
    if (!call_begin(&call, name))
        return KV_MISSING;
    const struct span value[] = {SPAN_LITERAL("GET"), call_key(&call)};
    const struct span left[] = {SPAN_LITERAL("PTTL"), call_key(&call)};
    const struct redis_command commands[] = {{value, ARRAY_COUNT(value)},
                                             {left, ARRAY_COUNT(left)}};
    if (!call_run(&call, commands, ARRAY_COUNT(commands), replies))
        return KV_AWAY;
    return take(&call, replies, ret_found);
}
