#include "redis/subscription.h"

#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "redis/wire.h"

struct redis_subscription {
    struct redis_connection *connection;
    int64_t silence;
    int64_t heard; /* monotonic µs of the last word from Redis, or of the PING */
    bool asked;    /* a PING is under way */
};

struct redis_subscription *redis_subscription_new(const struct redis_address *address,
                                                  struct redis_resolver *resolver, int64_t silence)
{
    struct redis_subscription *subscription = calloc(1, sizeof *subscription);
    if (!subscription)
        return NULL;
    subscription->silence = silence;
    subscription->connection = redis_connection_new(address, resolver);
    if (subscription->connection)
        return subscription;
    free(subscription);
    return NULL;
}

void redis_subscription_free(struct redis_subscription *subscription)
{
    if (!subscription)
        return;
    redis_connection_free(subscription->connection);
    free(subscription);
}

static void heard(struct redis_subscription *subscription)
{
    subscription->heard = clock_monotonic();
    subscription->asked = false;
}

static bool send_command(struct redis_subscription *subscription, const struct span *words,
                         size_t count, int64_t deadline, struct error *error)
{
    const struct redis_command command = {words, count};
    subscription->connection->may_block = false;
    return redis_wire_append(subscription->connection, command, error) &&
           redis_wire_flush(subscription->connection, deadline, error);
}

/* The first word of a push: "message", "subscribe", "pong". */
static bool is_push(const redisReply *reply, const char *kind, size_t elements)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements >= elements &&
           reply->element[0]->type == REDIS_REPLY_STRING &&
           strcmp(reply->element[0]->str, kind) == 0;
}

static bool confirm(struct redis_subscription *subscription, int64_t deadline, struct error *error)
{
    redisReply *reply;
    if (!redis_wire_read(subscription->connection, deadline, &reply, error))
        return false;
    bool confirmed = is_push(reply, "subscribe", 3);
    if (!confirmed)
        error_set(error, ERROR_UNAVAILABLE, "Redis: SUBSCRIBE was refused: %.200s",
                  reply->str ? reply->str : "an answer of another kind");
    freeReplyObject(reply);
    if (!confirmed)
        redis_disconnect(subscription->connection);
    return confirmed;
}

bool redis_subscribe(struct redis_subscription *subscription, struct span channel, int64_t deadline,
                     struct error *error)
{
    const struct span words[] = {SPAN_LITERAL("SUBSCRIBE"), channel};
    redis_disconnect(subscription->connection);
    if (!redis_wire_connect(subscription->connection, deadline, error) ||
        !send_command(subscription, words, ARRAY_COUNT(words), deadline, error) ||
        !confirm(subscription, deadline, error))
        return false;
    heard(subscription);
    return true;
}

/* Takes one reply out of what has arrived; null when it is not whole yet. */
static bool take(struct redis_subscription *subscription, redisReply **ret_reply,
                 struct error *error)
{
    void *reply = NULL;
    if (redisGetReplyFromReader(subscription->connection->context, &reply) != REDIS_OK)
        return redis_wire_broken(subscription->connection, error);
    *ret_reply = reply;
    return true;
}

static bool lost(struct redis_subscription *subscription, struct error *error)
{
    redis_disconnect(subscription->connection);
    return error_set(error, ERROR_TIMEOUT, "Redis fell silent on a subscription");
}

/* Has more come than was read? Who stood still himself may have slept through the answer. */
static bool arrived(const struct redis_subscription *subscription)
{
    struct pollfd pollfd = {.fd = subscription->connection->context->fd, .events = POLLIN};
    return poll(&pollfd, 1, 0) > 0;
}

/* Asks a silent line, gives one up that does not answer. Sending never waits. */
static bool prove_alive(struct redis_subscription *subscription, struct error *error)
{
    const struct span ping = SPAN_LITERAL("PING");
    int64_t now = clock_monotonic();
    if (now - subscription->heard < subscription->silence || arrived(subscription))
        return true;
    if (subscription->asked)
        return lost(subscription, error);
    if (!send_command(subscription, &ping, 1, now, error))
        return false;
    subscription->heard = now;
    subscription->asked = true;
    return true;
}

/* Waits for something to read: true with *ret_ready false at the deadline or when to ask again. */
static bool wait_readable(struct redis_subscription *subscription, int64_t deadline,
                          bool *ret_ready, struct error *error)
{
    int64_t ask = subscription->heard + subscription->silence;
    struct pollfd pollfd = {.fd = subscription->connection->context->fd, .events = POLLIN};
    int ready =
        poll(&pollfd, 1, clock_remaining_ms(deadline < ask ? deadline : ask, clock_monotonic()));
    *ret_ready = ready > 0;
    if (ready <= 0)
        return true;
    if (redisBufferRead(subscription->connection->context) != REDIS_OK)
        return redis_wire_broken(subscription->connection, error);
    heard(subscription);
    return true;
}

static struct span message_text(const redisReply *reply)
{
    const redisReply *text = reply->element[2];
    return (struct span){.data = text->str ? text->str : "",
                         .size = text->str ? (size_t)text->len : 0};
}

/* The next message that has arrived already; null: none. Whatever else may come is a PING's answer.
 */
static bool next_arrived(struct redis_subscription *subscription, redisReply **ret_message,
                         struct error *error)
{
    for (;;) {
        redisReply *reply = NULL;
        if (!take(subscription, &reply, error))
            return false;
        if (!reply || is_push(reply, "message", 3)) {
            *ret_message = reply;
            return true;
        }
        bool pong = is_push(reply, "pong", 1);
        if (!pong)
            error_set(error, ERROR_UNAVAILABLE, "Redis: not a message: %.200s",
                      reply->str ? reply->str : "an answer of another kind");
        freeReplyObject(reply);
        if (!pong) {
            redis_disconnect(subscription->connection);
            return false;
        }
    }
}

bool redis_next_message(struct redis_subscription *subscription, int64_t deadline,
                        struct redis_reply **ret_message, struct span *ret_text,
                        struct error *error)
{
    redisReply *message = NULL;
    bool ready = true;
    if (!subscription->connection->context)
        return error_set(error, ERROR_UNAVAILABLE, "Redis: not subscribed");
    while (next_arrived(subscription, &message, error)) {
        if (message || (!ready && clock_monotonic() >= deadline)) {
            *ret_message = (struct redis_reply *)message;
            *ret_text = message ? message_text(message) : (struct span){0};
            return true;
        }
        if (!prove_alive(subscription, error) ||
            !wait_readable(subscription, deadline, &ready, error))
            break;
    }
    return false;
}

int redis_subscription_fd(const struct redis_subscription *subscription)
{
    const redisContext *context = subscription->connection->context;
    return context ? context->fd : -1;
}
