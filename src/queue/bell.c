#include "queue/bell.h"

#include "base/clock.h"
#include "queue/names.h"

/* The connection has mostly just been used; with less left a closed one is not opened again. µs. */
#define PATIENCE INT64_C(2000)

#define AWAITED "now"

static void channel_name(const struct queue *queue, char ret_name[static QUEUE_NAME_SIZE])
{
    queue_name(queue_prefix(queue), QUEUE_KEY_BELL, (struct span){0}, ret_name);
}

void queue_bell_ring(const struct queue *queue, struct redis_connection *connection, bool awaited)
{
    char name[QUEUE_NAME_SIZE];
    channel_name(queue, name);
    const struct span words[] = {SPAN_LITERAL("PUBLISH"), span_of(name),
                                 span_of(awaited ? AWAITED : "")};
    const struct redis_command command = {words, ARRAY_COUNT(words)};
    (void)!redis_post(connection, &command, 1, clock_monotonic() + PATIENCE, NULL);
}

bool queue_bell_listen(const struct queue *queue, struct redis_subscription *line, int64_t deadline,
                       struct error *error)
{
    char name[QUEUE_NAME_SIZE];
    channel_name(queue, name);
    return redis_subscribe(line, span_of(name), deadline, error);
}

bool queue_bell_hear(struct redis_subscription *line, int64_t deadline, bool *ret_rung,
                     bool *ret_awaited, struct error *error)
{
    struct redis_reply *message;
    struct span text;
    if (!redis_next_message(line, deadline, &message, &text, error))
        return false;
    *ret_rung = message != NULL;
    *ret_awaited = message && span_is(text, AWAITED);
    redis_reply_free(message);
    return true;
}
