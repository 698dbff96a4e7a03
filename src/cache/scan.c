#include "cache/scan.h"

#include <stdio.h>

#include "base/clock.h"

/* So many keys Redis looks at in one call, in which it does nothing else. */
#define KEYS_A_CALL "100"

#define CURSOR_SIZE 24

static bool call(struct redis_connection *connection, const char *pattern, const char *cursor,
                 int64_t patience, struct redis_reply **ret_reply, struct error *error)
{
    const struct span words[] = {SPAN_LITERAL("SCAN"),  span_of(cursor),
                                 SPAN_LITERAL("MATCH"), span_of(pattern),
                                 SPAN_LITERAL("COUNT"), SPAN_LITERAL(KEYS_A_CALL)};
    const struct redis_command command = {words, ARRAY_COUNT(words)};
    struct redis_reply *reply;
    if (!redis_ask(connection, &command, 1, clock_monotonic() + patience, &reply, error))
        return false;
    struct span refusal = redis_reply_error(reply), next = redis_reply_element(reply, 0);
    if (!refusal.data && next.size && next.size < CURSOR_SIZE) {
        *ret_reply = reply;
        return true;
    }
    error_set(error, ERROR_UNAVAILABLE, "Redis: %.*s", SPAN_PRINTF(refusal));
    redis_reply_free(reply);
    return false;
}

/* False: the scan is to end. */
static bool keys_visit(const struct redis_reply *reply, cache_scan_visit *visit, void *context)
{
    const struct redis_reply *keys = redis_reply_at(reply, 1);
    for (size_t i = 0; keys && i < redis_reply_count(keys); i++)
        if (!visit(context, redis_reply_element(keys, i)))
            return false;
    return true;
}

bool cache_scan(struct redis_connection *connection, const char *prefix, int64_t patience,
                cache_scan_visit *visit, void *context, struct error *error)
{
    char pattern[96], cursor[CURSOR_SIZE] = "0";
    snprintf(pattern, sizeof pattern, "%s:e:*", prefix);
    do {
        struct redis_reply *reply;
        if (!call(connection, pattern, cursor, patience, &reply, error))
            return false;
        snprintf(cursor, sizeof cursor, "%.*s", SPAN_PRINTF(redis_reply_element(reply, 0)));
        bool on = keys_visit(reply, visit, context);
        redis_reply_free(reply);
        if (!on)
            return true;
    } while (strcmp(cursor, "0") != 0);
    return true;
}
