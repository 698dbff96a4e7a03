#include "queue/settings.h"

#include <string.h>

#include "queue/queue_base.h"

/* A setting, the value that is wanted, and what any other means. */
static const struct setting {
    const char *name;
    const char *wanted;
    const char *complaint;
} settings[] = {
    {"appendonly", "yes",
     "appendonly is not yes: jobs that wait are lost when Redis is restarted (set appendonly yes)"},
    {"appendfsync", "always",
     "appendfsync is not always: jobs of the last second may be lost when the host dies (set "
     "appendfsync always, or accept that)"},
    {"maxmemory-policy", "noeviction",
     "maxmemory-policy is not noeviction: jobs that wait may be evicted (set maxmemory-policy "
     "noeviction, on a server of the queue's own)"},
};

static const char untold[] = "it does not tell its settings (CONFIG GET): see that it has "
                             "appendonly yes, appendfsync always "
                             "and maxmemory-policy noeviction";

bool queue_settings_check(struct redis_connection *connection, int64_t deadline,
                          struct queue_complaints *ret_complaints, struct error *error)
{
    struct queue_complaints complaints = {0};
    struct span words[ARRAY_COUNT(settings)][3];
    struct redis_command commands[ARRAY_COUNT(settings)];
    struct redis_reply *replies[ARRAY_COUNT(settings)];
    bool told = true;
    for (size_t i = 0; i < ARRAY_COUNT(settings); i++) {
        words[i][0] = SPAN_LITERAL("CONFIG");
        words[i][1] = SPAN_LITERAL("GET");
        words[i][2] = span_of(settings[i].name);
        commands[i] = (struct redis_command){words[i], 3};
    }
    if (!redis_ask(connection, commands, ARRAY_COUNT(settings), deadline, replies, error))
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(settings); i++) {
        struct span value = redis_reply_element(replies[i], 1);
        told = told && value.data;
        if (value.data && !span_is(value, settings[i].wanted))
            complaints.texts[complaints.count++] = settings[i].complaint;
        redis_reply_free(replies[i]);
    }
    if (!told)
        complaints.texts[complaints.count++] = untold;
    *ret_complaints = complaints;
    return true;
}

static const char one_database[] =
    "it is the database of LARDER_REDIS, whose keys are evicted and purged: give it another "
    "database (…/1), and better another server";

#define RUN_ID_SIZE 40

/* What a server calls itself, as long as it runs; empty: it does not tell. */
static bool run_id_ask(struct redis_connection *connection, int64_t deadline,
                       char ret_id[static RUN_ID_SIZE + 1], struct error *error)
{
    static const char name[] = "run_id:";
    const struct span words[] = {SPAN_LITERAL("INFO"), SPAN_LITERAL("server")};
    const struct redis_command command = {words, ARRAY_COUNT(words)};
    struct redis_reply *reply;
    if (!redis_ask(connection, &command, 1, deadline, &reply, error))
        return false;
    struct span text = redis_reply_text(reply);
    const char *at = text.size ? memmem(text.data, text.size, name, sizeof name - 1) : NULL;
    memset(ret_id, 0, RUN_ID_SIZE + 1);
    if (at && text.data + text.size - at >= (ptrdiff_t)(sizeof name - 1 + RUN_ID_SIZE))
        memcpy(ret_id, at + sizeof name - 1, RUN_ID_SIZE);
    redis_reply_free(reply);
    return true;
}

/* The other server's; empty where it is away, of which others tell. */
static void other_run_id(const struct redis_address *address, int64_t deadline,
                         char ret_id[static RUN_ID_SIZE + 1])
{
    struct redis_resolver *resolver = redis_resolver_new(address);
    struct redis_connection *connection = resolver ? redis_connection_new(address, resolver) : NULL;
    struct error ignored;
    ret_id[0] = '\0';
    if (connection &&
        (!redis_resolver_needed(resolver) || redis_resolver_refresh(resolver, &ignored)))
        (void)!run_id_ask(connection, deadline, ret_id, &ignored);
    redis_connection_free(connection);
    redis_resolver_free(resolver);
}

/* False: LARDER_REDIS is empty, no address, or another database than the queue's. */
static bool rival_find(const struct queue *queue, const struct options *options,
                       struct arena *arena, struct redis_address *ret_address)
{
    return *options_text(options, OPTION_REDIS) &&
           redis_address_of(options, OPTION_REDIS, arena, ret_address, NULL) &&
           ret_address->database == queue->settings.address.database;
}

bool queue_apart_check(const struct queue *queue, const struct options *options,
                       struct redis_connection *connection, int64_t deadline,
                       struct queue_complaints *complaints, struct error *error)
{
    struct redis_address rival;
    struct arena *arena = arena_new();
    char own[RUN_ID_SIZE + 1], other[RUN_ID_SIZE + 1];
    bool asked = true;
    if (!arena)
        return error_set_memory(error);
    if (rival_find(queue, options, arena, &rival)) {
        asked = run_id_ask(connection, deadline, own, error);
        if (asked)
            other_run_id(&rival, deadline, other);
        if (asked && own[0] && strcmp(own, other) == 0)
            complaints->texts[complaints->count++] = one_database;
    }
    arena_free(arena);
    return asked;
}
