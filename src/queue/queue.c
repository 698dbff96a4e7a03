#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "queue/queue_base.h"

static bool same_text(const char *one, const char *other)
{
    return one == other || (one && other && strcmp(one, other) == 0);
}

/* This host, by whatever name. */
static const char *host_of(const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "::1", "0.0.0.0", "::"};
    for (size_t i = 0; host && i < ARRAY_COUNT(names); i++)
        if (strcasecmp(host, names[i]) == 0)
            return names[0];
    return host;
}

static bool same_host(const char *one, const char *other)
{
    return one == other || (one && other && strcasecmp(host_of(one), host_of(other)) == 0);
}

bool queue_address_same(const struct redis_address *one, const struct redis_address *other)
{
    return one->database == other->database && same_host(one->host, other->host) &&
           same_text(one->path, other->path) && (!one->host || one->port == other->port);
}

static bool apart_check(const struct options *options, const struct redis_address *address,
                        struct arena *arena, struct error *error)
{
    struct redis_address responses;
    if (!*options_text(options, OPTION_REDIS))
        return true;
    if (!redis_address_of(options, OPTION_REDIS, arena, &responses, error))
        return false;
    if (!queue_address_same(address, &responses))
        return true;
    return error_set(error, ERROR_INVALID,
                     "LARDER_QUEUE is the database of LARDER_REDIS, whose keys are evicted and "
                     "purged; it must be another database (…/1) or another server");
}

bool queue_open(const struct options *options, struct arena *arena, struct counters *counters,
                struct queue **ret_queue, struct error *error)
{
    struct queue_settings settings = {.prefix = options_text(options, OPTION_PREFIX),
                                      .probe = options_number(options, OPTION_REDIS_PROBE),
                                      .job_ttl = options_number(options, OPTION_JOB_TTL),
                                      .once_ttl = options_number(options, OPTION_IDEMPOTENCY_TTL),
                                      .counters = counters};
    if (!*options_text(options, OPTION_QUEUE)) {
        *ret_queue = NULL;
        return true;
    }
    if (!redis_address_of(options, OPTION_QUEUE, arena, &settings.address, error) ||
        !apart_check(options, &settings.address, arena, error))
        return false;
    struct queue *queue = queue_new(&settings);
    if (!queue)
        return error_set_memory(error);
    *ret_queue = queue;
    return true;
}

static bool scripts_init(struct queue *queue)
{
    const struct {
        struct redis_script *script;
        const char *text;
    } rows[] = {
        {&queue->file, queue_file_text},
        {&queue->look, queue_look_text},
        {&queue->cancel, queue_cancel_text},
        {&queue->behind_add, queue_behind_add_text},
        {&queue->behind_look, queue_behind_look_text},
        {&queue->behind_take, queue_behind_take_text},
        {&queue->behind_bury, queue_behind_bury_text},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        if (!redis_script_init(rows[i].script, rows[i].text, NULL))
            return false;
    return true;
}

struct queue *queue_new(const struct queue_settings *settings)
{
    struct queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return NULL;
    queue->settings = *settings;
    breaker_init(&queue->breaker, settings->probe);
    queue->resolver = redis_resolver_new(&queue->settings.address);
    if (queue->resolver && scripts_init(queue))
        return queue;
    queue_free(queue);
    return NULL;
}

void queue_free(struct queue *queue)
{
    if (!queue)
        return;
    redis_resolver_free(queue->resolver);
    free(queue);
}

bool queue_resolve(struct queue *queue, int64_t now, struct error *error)
{
    return redis_resolver_tick(queue->resolver, breaker_is_open(&queue->breaker), now, error);
}

bool queue_is_found(const struct queue *queue)
{
    char number[REDIS_NUMBER_SIZE];
    return !redis_resolver_needed(queue->resolver) ||
           redis_resolver_number(queue->resolver, number);
}

struct redis_connection *queue_connection(const struct queue *queue)
{
    return redis_connection_new(&queue->settings.address, queue->resolver);
}

struct redis_subscription *queue_subscription(const struct queue *queue, int64_t silence)
{
    return redis_subscription_new(&queue->settings.address, queue->resolver, silence);
}

const char *queue_prefix(const struct queue *queue)
{
    return queue->settings.prefix;
}

static void failed(struct queue *queue, size_t count, const struct error *failure,
                   struct error *ret_event)
{
    bool was_open = breaker_is_open(&queue->breaker), opened = false;
    counters_add(queue->settings.counters, COUNTER_QUEUE_ERRORS, (int64_t)count);
    for (size_t i = 0; i < count; i++)
        opened = breaker_failed(&queue->breaker, clock_monotonic()) || opened;
    if (opened)
        error_set(ret_event, failure->kind, "left out until it answers again: %.400s",
                  failure->text);
    else if (!was_open)
        error_set(ret_event, failure->kind, "%.400s", failure->text);
}

static bool plain_ask(struct redis_connection *connection, const struct queue_work *work,
                      int64_t deadline, struct redis_reply **ret_replies, struct error *error)
{
    redis_set_once(connection, true);
    bool answered =
        redis_ask(connection, work->commands, work->command_count, deadline, ret_replies, error);
    redis_set_once(connection, false);
    return answered;
}

enum queue_run queue_run(struct queue *queue, struct redis_connection *connection,
                         const struct redis_script_call *calls, size_t count, int64_t *budget,
                         struct redis_reply **ret_replies, struct error *ret_event)
{
    const struct queue_work work = {.calls = calls, .call_count = count};
    bool plain;
    return queue_run_plain(queue, connection, &work, budget, ret_replies, &plain, ret_event);
}

enum queue_run queue_run_plain(struct queue *queue, struct redis_connection *connection,
                               const struct queue_work *work, int64_t *budget,
                               struct redis_reply **ret_replies, bool *ret_plain,
                               struct error *ret_event)
{
    struct error failure;
    int64_t begin = clock_monotonic(), deadline = begin + *budget;
    if (*budget < REDIS_LEAST || !breaker_allows(&queue->breaker, begin))
        return QUEUE_RUN_AWAY;
    *ret_plain =
        work->command_count && plain_ask(connection, work, deadline, ret_replies, &failure);
    bool answered = *ret_plain || redis_script_run(connection, work->calls, work->call_count,
                                                   deadline, ret_replies, &failure);
    *budget -= clock_monotonic() - begin;
    if (!answered)
        failed(queue, work->call_count, &failure, ret_event);
    else if (breaker_succeeded(&queue->breaker))
        error_set(ret_event, ERROR_NONE, "answers again");
    return answered ? QUEUE_RUN_DONE : QUEUE_RUN_UNKNOWN;
}

void queue_refused(struct queue *queue, struct span why, struct error *ret_event)
{
    counters_add(queue->settings.counters, COUNTER_QUEUE_REFUSALS, 1);
    if (quiet_over(&queue->refusal_quiet, clock_monotonic()))
        error_set(ret_event, ERROR_BUSY, "a write was not kept for later: %.*s", SPAN_PRINTF(why));
}
