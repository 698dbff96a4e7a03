#include "redis/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"

/* How many words a command may have; the longest here is a bump of many tags. */
#define WORDS_MAX 1024

struct redis_connection *redis_connection_new(const struct redis_address *address,
                                              struct redis_resolver *resolver)
{
    struct redis_connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        return NULL;
    connection->address = address;
    connection->resolver = resolver;
    return connection;
}

void redis_disconnect(struct redis_connection *connection)
{
    if (connection->context)
        redisFree(connection->context);
    connection->context = NULL;
    connection->owed = 0;
}

void redis_connection_free(struct redis_connection *connection)
{
    if (!connection)
        return;
    redis_disconnect(connection);
    free(connection);
}

bool redis_wire_broken(struct redis_connection *connection, struct error *error)
{
    const redisContext *context = connection->context;
    connection->closed_by_peer =
        context && (context->err == REDIS_ERR_EOF ||
                    (context->err == REDIS_ERR_IO && (errno == EPIPE || errno == ECONNRESET)));
    error_set(error, ERROR_UNAVAILABLE, "Redis: %s",
              context && context->err ? context->errstr : "connection lost");
    redis_disconnect(connection);
    return false;
}

static bool late(struct redis_connection *connection, struct error *error)
{
    redis_disconnect(connection);
    return error_set(error, ERROR_TIMEOUT, "Redis did not answer in time");
}

/* Waits until the socket is ready for `events`, or the deadline. */
bool redis_wire_wait(struct redis_connection *connection, short events, int64_t deadline,
                     struct error *error)
{
    struct pollfd pollfd = {.fd = connection->context->fd, .events = events};
    for (;;) {
        int ready = poll(&pollfd, 1, clock_remaining_ms(deadline, clock_monotonic()));
        if (ready > 0)
            return true;
        if (ready == 0)
            return late(connection, error);
        if (errno != EINTR)
            return redis_wire_broken(connection, error);
    }
}

bool redis_wire_flush(struct redis_connection *connection, int64_t deadline, struct error *error)
{
    for (int done = 0;;) {
        if (redisBufferWrite(connection->context, &done) != REDIS_OK)
            return redis_wire_broken(connection, error);
        if (done)
            return true;
        if (!redis_wire_wait(connection, POLLOUT, deadline, error))
            return false;
    }
}

/*
 * The socket's own time-out bounds the first read, so that the usual reply costs one system call;
 * whatever trickles in after it is bounded by the deadline.
 */
bool redis_wire_read(struct redis_connection *connection, int64_t deadline, redisReply **ret_reply,
                     struct error *error)
{
    for (;;) {
        void *reply = NULL;
        if (redisGetReplyFromReader(connection->context, &reply) != REDIS_OK)
            return redis_wire_broken(connection, error);
        if (reply) {
            *ret_reply = reply;
            return true;
        }
        if (!connection->may_block && !redis_wire_wait(connection, POLLIN, deadline, error))
            return false;
        connection->may_block = false;
        if (redisBufferRead(connection->context) != REDIS_OK)
            return redis_wire_broken(connection, error);
    }
}

/* Error replies that say the server can't serve now, rather than that the command is wrong. */
static const char *const unavailable_codes[] = {
    "LOADING",  "MASTERDOWN", "NOAUTH", "WRONGPASS", "CLUSTERDOWN",
    "TRYAGAIN", "NOPERM",     "BUSY",   "ERR max",
};

static bool error_reply(const redisReply *reply, struct error *error)
{
    struct span text = {.data = reply->str, .size = (size_t)reply->len};
    enum error_kind kind = ERROR_INVALID;
    for (size_t i = 0; i < ARRAY_COUNT(unavailable_codes); i++)
        if (span_starts(text, unavailable_codes[i]))
            kind = ERROR_UNAVAILABLE;
    return error_set(error, kind, "Redis: %.*s", SPAN_PRINTF(text));
}

bool redis_wire_append(struct redis_connection *connection, struct redis_command command,
                       struct error *error)
{
    const char *words[WORDS_MAX];
    size_t sizes[WORDS_MAX];
    if (command.count > WORDS_MAX)
        return error_set(error, ERROR_INTERNAL, "a Redis command of too many words");
    for (size_t i = 0; i < command.count; i++) {
        words[i] = command.words[i].data ? command.words[i].data : "";
        sizes[i] = command.words[i].size;
    }
    if (redisAppendCommandArgv(connection->context, (int)command.count, words, sizes) != REDIS_OK)
        return redis_wire_broken(connection, error);
    return true;
}

static void note_dropped(struct redis_connection *connection, const char *text)
{
    connection->dropped_errors++;
    snprintf(connection->dropped_text, sizeof connection->dropped_text, "%s", text);
}

static bool drop_owed(struct redis_connection *connection, int64_t deadline, struct error *error)
{
    for (; connection->owed; connection->owed--) {
        redisReply *reply;
        if (!redis_wire_read(connection, deadline, &reply, error))
            return false;
        if (reply->type == REDIS_REPLY_ERROR)
            note_dropped(connection, reply->str);
        freeReplyObject(reply);
    }
    return true;
}

static void replies_free(redisReply **replies, size_t count)
{
    for (size_t i = 0; i < count; i++)
        redis_reply_free((struct redis_reply *)replies[i]);
}

/* An error reply that says the server can't serve now is a failure of them all. */
static bool replies_judge(redisReply **replies, size_t count, struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        struct error local;
        if (replies[i]->type != REDIS_REPLY_ERROR)
            continue;
        error_reply(replies[i], &local);
        if (local.kind != ERROR_UNAVAILABLE)
            continue;
        replies_free(replies, count);
        return error_set(error, local.kind, "%s", local.text);
    }
    return true;
}

/* Error replies become null. */
static void errors_drop(redisReply **replies, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (replies[i]->type != REDIS_REPLY_ERROR)
            continue;
        freeReplyObject(replies[i]);
        replies[i] = NULL;
    }
}

/* How long a reply is waited for awake, µs: a Redis on this host needs half of it, or less. */
#define AWAKE INT64_C(150)

/* Replies that are owed may have brought this one along. */
static void await_awake(const struct redis_connection *connection, int64_t until)
{
    const redisReader *reader = connection->context->reader;
    char byte;
    if (reader->pos < reader->len)
        return;
    while (recv(connection->context->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           errno == EAGAIN && clock_monotonic() < until)
        sched_yield();
}

/* Commands on an open connection. */
static bool exchange(struct redis_connection *connection, const struct redis_command *commands,
                     size_t count, int64_t deadline, redisReply **replies, struct error *error)
{
    int64_t begin = clock_monotonic();
    connection->may_block = deadline - begin >= connection->block_limit;
    for (size_t i = 0; i < count; i++)
        if (!redis_wire_append(connection, commands[i], error))
            return false;
    if (!redis_wire_flush(connection, deadline, error) || !drop_owed(connection, deadline, error))
        return false;
    if (connection->keen && connection->lasted < AWAKE)
        await_awake(connection, begin + AWAKE);
    for (size_t i = 0; i < count; i++) {
        if (!redis_wire_read(connection, deadline, &replies[i], error)) {
            replies_free(replies, i);
            return false;
        }
    }
    if (connection->keen)
        connection->lasted = clock_monotonic() - begin;
    return replies_judge(replies, count, error);
}

static bool greet(struct redis_connection *connection, const struct span *words, size_t count,
                  int64_t deadline, struct error *error)
{
    const struct redis_command command = {words, count};
    redisReply *reply;
    if (!exchange(connection, &command, 1, deadline, &reply, error)) {
        redis_disconnect(connection);
        return false;
    }
    bool refused = reply->type == REDIS_REPLY_ERROR;
    if (refused)
        error_set(error, ERROR_UNAVAILABLE, "Redis: %.*s was refused: %.200s",
                  SPAN_PRINTF(words[0]), reply->str);
    freeReplyObject(reply);
    if (refused)
        redis_disconnect(connection);
    return !refused;
}

static bool authenticate(struct redis_connection *connection, int64_t deadline, struct error *error)
{
    const struct redis_address *address = connection->address;
    if (!address->password)
        return true;
    struct span words[3] = {SPAN_LITERAL("AUTH")};
    size_t count = 1;
    if (address->user)
        words[count++] = span_of(address->user);
    words[count++] = span_of(address->password);
    return greet(connection, words, count, deadline, error);
}

static bool select_database(struct redis_connection *connection, int64_t deadline,
                            struct error *error)
{
    char number[16];
    if (connection->address->database == 0)
        return true;
    snprintf(number, sizeof number, "%d", connection->address->database);
    struct span words[2] = {SPAN_LITERAL("SELECT"), span_of(number)};
    return greet(connection, words, 2, deadline, error);
}

/* Of several servers it is the address that tells which. */
static bool unreachable(struct redis_connection *connection, const char *why, struct error *error)
{
    const struct redis_address *address = connection->address;
    if (address->path)
        error_set(error, ERROR_UNAVAILABLE, "Redis at %s: %s", address->path, why);
    else
        error_set(error, ERROR_UNAVAILABLE, "Redis at %s:%d: %s", address->host, address->port,
                  why);
    redis_disconnect(connection);
    return false;
}

/* The connection's outcome, once poll says the socket is writable. */
static bool connect_finished(struct redis_connection *connection, struct error *error)
{
    int failure = 0;
    socklen_t size = sizeof failure;
    if (getsockopt(connection->context->fd, SOL_SOCKET, SO_ERROR, &failure, &size) == 0 && !failure)
        return true;
    char text[128];
    return unreachable(connection, strerror_r(failure, text, sizeof text), error);
}

/* From now on reads and writes wait, but no longer than a whole call may take. */
static bool block(struct redis_connection *connection, int64_t deadline, struct error *error)
{
    int fd = connection->context->fd;
    /* A little less than a whole call's time, so that the usual call has room for it. */
    int64_t most = (deadline - clock_monotonic()) / 16 * 15;
    if (most < 1000)
        return late(connection, error);
    connection->block_limit = most;
    const struct timeval limit = {.tv_sec = most / 1000000, .tv_usec = most % 1000000};
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
        return redis_wire_broken(connection, error);
    return true;
}

/* hiredis' type for an array's length, by its version. */
#if HIREDIS_MAJOR >= 1
typedef size_t array_size;
#else
typedef int array_size;
#endif

/*
 * The longest array that any command here is answered with; a longer one is nonsense. SCAN may tell
 * of more keys than it was asked for.
 */
#define ARRAY_MAX 4096

static void *(*create_array)(const redisReadTask *, array_size);

/* hiredis makes room for as many elements as the server says it will send. */
static void *create_small_array(const redisReadTask *task, array_size size)
{
    return size > ARRAY_MAX ? NULL : create_array(task, size);
}

static redisReplyObjectFunctions reply_functions;
static pthread_once_t reply_functions_once = PTHREAD_ONCE_INIT;

static void reply_functions_init(void)
{
    redisReader *reader = redisReaderCreate();
    if (!reader)
        return;
    reply_functions = *reader->fn;
    create_array = reply_functions.createArray;
    reply_functions.createArray = create_small_array;
    redisReaderFree(reader);
}

static void bound_arrays(redisContext *context)
{
    pthread_once(&reply_functions_once, reply_functions_init);
    if (create_array)
        context->reader->fn = &reply_functions;
}

bool redis_wire_connect(struct redis_connection *connection, int64_t deadline, struct error *error)
{
    const struct redis_address *address = connection->address;
    char number[REDIS_NUMBER_SIZE];
    if (!address->path && !redis_resolver_number(connection->resolver, number))
        return error_set(error, ERROR_UNAVAILABLE, "Redis: the host's name is not found yet");
    connection->context = address->path ? redisConnectUnixNonBlock(address->path)
                                        : redisConnectNonBlock(number, address->port);
    if (!connection->context)
        return error_set_memory(error);
    if (connection->context->err)
        return unreachable(connection, connection->context->errstr, error);
    if (!redis_wire_wait(connection, POLLOUT, deadline, error) ||
        !connect_finished(connection, error) || !block(connection, deadline, error))
        return false;
    bound_arrays(connection->context);
    if (address->host && redisEnableKeepAlive(connection->context) != REDIS_OK)
        return redis_wire_broken(connection, error);
    connection->connects++;
    return authenticate(connection, deadline, error) &&
           select_database(connection, deadline, error);
}

/*
 * Opens the connection if there is none; *ret_reused says whether it was open already. A server
 * may have closed an idle one since (its "timeout", a restart), which only using it shows.
 */
static bool ready(struct redis_connection *connection, int64_t deadline, bool *ret_reused,
                  struct error *error)
{
    *ret_reused = connection->context != NULL;
    connection->closed_by_peer = false;
    return *ret_reused || redis_wire_connect(connection, deadline, error);
}

/* With nothing left to read. */
bool redis_ended(const struct redis_connection *connection)
{
    char byte;
    if (!connection->context)
        return false;
    ssize_t got = recv(connection->context->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

void redis_set_once(struct redis_connection *connection, bool once)
{
    connection->once = once;
}

void redis_set_keen(struct redis_connection *connection, bool keen)
{
    connection->keen = keen;
}

bool redis_ask(struct redis_connection *connection, const struct redis_command *commands,
               size_t count, int64_t deadline, struct redis_reply **ret_replies,
               struct error *error)
{
    redisReply **replies = (redisReply **)ret_replies;
    bool reused;
    if (connection->once && connection->context &&
        (!redis_settle(connection, deadline, error) || redis_ended(connection)))
        redis_disconnect(connection);
    if (!ready(connection, deadline, &reused, error))
        return false;
    bool done = exchange(connection, commands, count, deadline, replies, error);
    if (!done && reused && connection->closed_by_peer && !connection->once)
        done = redis_wire_connect(connection, deadline, error) &&
               exchange(connection, commands, count, deadline, replies, error);
    return done;
}

bool redis_call(struct redis_connection *connection, const struct redis_command *commands,
                size_t count, int64_t deadline, struct redis_reply **ret_replies,
                struct error *error)
{
    if (!redis_ask(connection, commands, count, deadline, ret_replies, error))
        return false;
    errors_drop((redisReply **)ret_replies, count);
    return true;
}

unsigned redis_connects(const struct redis_connection *connection)
{
    return connection->connects;
}

int redis_database(const struct redis_connection *connection)
{
    return connection->address->database;
}

static bool post_all(struct redis_connection *connection, const struct redis_command *commands,
                     size_t count, int64_t deadline, struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        if (!redis_wire_append(connection, commands[i], error))
            return false;
        connection->owed++;
    }
    return redis_wire_flush(connection, deadline, error);
}

/* A post waits for no reply that could tell of a closed connection: it looks beforehand. */
bool redis_post(struct redis_connection *connection, const struct redis_command *commands,
                size_t count, int64_t deadline, struct error *error)
{
    bool reused;
    if (redis_ended(connection))
        redis_disconnect(connection);
    if (!ready(connection, deadline, &reused, error))
        return false;
    bool done = post_all(connection, commands, count, deadline, error);
    if (!done && reused && connection->closed_by_peer)
        done = redis_wire_connect(connection, deadline, error) &&
               post_all(connection, commands, count, deadline, error);
    return done;
}

bool redis_settle(struct redis_connection *connection, int64_t deadline, struct error *error)
{
    connection->may_block = false;
    return !connection->context || drop_owed(connection, deadline, error);
}

unsigned redis_dropped_errors(struct redis_connection *connection, const char **ret_text)
{
    unsigned count = connection->dropped_errors;
    connection->dropped_errors = 0;
    *ret_text = connection->dropped_text;
    return count;
}
