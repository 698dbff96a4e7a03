#include "queue/settings.h"

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
