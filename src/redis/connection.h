/*
 * One connection to Redis, used by one thread.
 *
 * Every call is bounded by a deadline for all of it: connecting, AUTH, SELECT, sending and the
 * whole reply, however the server trickles it. A broken connection is opened again by the next
 * call; one that broke while it lay idle is reopened within the same call. After an error reply
 * the connection stays good; after anything else that goes wrong it is closed.
 */
#ifndef LARDER_REDIS_CONNECTION_H
#define LARDER_REDIS_CONNECTION_H

#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "redis/resolver.h"

struct redis_connection;
struct redis_reply;

/* Both must outlive the connection. Opens nothing yet. Null: memory. */
struct redis_connection *redis_connection_new(const struct redis_address *address,
                                              struct redis_resolver *resolver) MUST_CHECK;

/* Null is allowed. */
void redis_connection_free(struct redis_connection *connection);

/* Closes; the next call opens again, at the number the resolver then knows. */
void redis_disconnect(struct redis_connection *connection);

/*
 * For commands that must not be run twice: with `once`, what was sent is not sent again by the
 * calls that follow, though the connection broke before any reply. One that the server closed while
 * it lay idle is opened anew all the same, where that is seen before anything is sent.
 */
void redis_set_once(struct redis_connection *connection, bool once);

/*
 * With `keen` the calls that follow wait awake for as long as a Redis on this host takes, unless
 * the last of them took longer: who sleeps has to be woken when the reply is there, by a processor
 * that sleeps as well. For who has nothing else to do; whoever wants the processor meanwhile gets
 * it.
 */
void redis_set_keen(struct redis_connection *connection, bool keen);

/*
 * How often the connection was opened. A call may have reopened it: whoever must know that two
 * calls reached the same server compares this around them.
 */
unsigned redis_connects(const struct redis_connection *connection);

/* Has the server closed the connection while it lay idle? False where none is open. */
bool redis_ended(const struct redis_connection *connection);

/* The number of the database that its commands are about. */
int redis_database(const struct redis_connection *connection);

/* Less time is not worth beginning a call: it would tell ill of a server that is well. µs. */
#define REDIS_LEAST INT64_C(1000)

/* A command's words; their bytes may be anything. */
struct redis_command {
    const struct span *words;
    size_t count;
};

/*
 * Sends commands all at once and waits for their replies until `deadline` (monotonic µs). The
 * replies are the caller's (redis_reply_free); null where Redis answered that command alone with
 * an error. Errors, with no reply: ERROR_UNAVAILABLE (away, refused, protocol nonsense, or the
 * error replies that mean so: LOADING, MASTERDOWN, NOAUTH, …), ERROR_TIMEOUT, ERROR_MEMORY.
 */
MUST_CHECK bool redis_call(struct redis_connection *connection,
                           const struct redis_command *commands, size_t count, int64_t deadline,
                           struct redis_reply **ret_replies, struct error *error);

/* The same, with error replies among the replies: redis_reply_error gives their text. */
MUST_CHECK bool redis_ask(struct redis_connection *connection, const struct redis_command *commands,
                          size_t count, int64_t deadline, struct redis_reply **ret_replies,
                          struct error *error);

/*
 * Sends commands whose replies nobody waits for: they are read and dropped by the next call. What
 * Redis refused is what redis_dropped_errors then gives.
 */
MUST_CHECK bool redis_post(struct redis_connection *connection,
                           const struct redis_command *commands, size_t count, int64_t deadline,
                           struct error *error);

/*
 * Reads the replies still to come of posted commands, until `deadline` (monotonic µs). Errors as
 * redis_call; nothing to read is none.
 */
MUST_CHECK bool redis_settle(struct redis_connection *connection, int64_t deadline,
                             struct error *error);

/*
 * Posted commands that Redis refused since the last call of this; *ret_text is why the newest was.
 */
unsigned redis_dropped_errors(struct redis_connection *connection, const char **ret_text);

/* Null is allowed. */
void redis_reply_free(struct redis_reply *reply);

/* An error reply's text; null data for any other reply. */
struct span redis_reply_error(const struct redis_reply *reply);

/* The text of a string or status reply; null data for nil and any other reply. */
struct span redis_reply_text(const struct redis_reply *reply);

/* The number of an integer reply; `otherwise` for any other. */
int64_t redis_reply_number(const struct redis_reply *reply, int64_t otherwise);

/* How many elements an array reply has; 0 for other replies, and for null. */
size_t redis_reply_count(const struct redis_reply *reply);

/* Element `index` of an array as text; null data for nil, for no text and past the end. */
struct span redis_reply_element(const struct redis_reply *reply, size_t index);

/* The same element as a reply of its own, which lives as long as the array; null past the end. */
const struct redis_reply *redis_reply_at(const struct redis_reply *reply, size_t index);

#endif
