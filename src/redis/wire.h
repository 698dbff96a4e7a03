/*
 * What the parts of redis/ that speak with hiredis share: the connection's state and its single
 * moves. Not for other folders, which know connection.h, script.h and subscription.h.
 *
 * Whatever fails here has closed the connection; error replies are no failure.
 */
#ifndef LARDER_REDIS_WIRE_H
#define LARDER_REDIS_WIRE_H

#include <hiredis/hiredis.h>

#include "redis/connection.h"

struct redis_connection {
    const struct redis_address *address;
    struct redis_resolver *resolver;
    redisContext *context; /* null: not connected */
    unsigned connects;     /* how often it was opened */
    unsigned owed;         /* replies of posted commands still to come */
    int64_t block_limit;   /* µs a read or write on the socket waits by itself */
    bool may_block;        /* the next read may do so within the call's deadline */
    bool closed_by_peer;   /* why the last call failed: worth one attempt on a new connection */
    bool once;             /* nothing is sent twice */
    bool keen;             /* replies are waited for awake, for a while */
    int64_t lasted;        /* µs: the last call of those */
    unsigned dropped_errors;
    char dropped_text[200];
};

/* Connects, AUTH, SELECT; the connection must be closed. */
MUST_CHECK bool redis_wire_connect(struct redis_connection *connection, int64_t deadline,
                                   struct error *error);

/* Puts a command into hiredis' buffer, and sends what is in it. */
MUST_CHECK bool redis_wire_append(struct redis_connection *connection, struct redis_command command,
                                  struct error *error);
MUST_CHECK bool redis_wire_flush(struct redis_connection *connection, int64_t deadline,
                                 struct error *error);

/* Waits until the socket is ready for `events`; late: ERROR_TIMEOUT. */
MUST_CHECK bool redis_wire_wait(struct redis_connection *connection, short events, int64_t deadline,
                                struct error *error);

/* The next reply; the caller frees it. */
MUST_CHECK bool redis_wire_read(struct redis_connection *connection, int64_t deadline,
                                redisReply **ret_reply, struct error *error);

/* Replaces an error reply's text, where the new one is no longer. */
void redis_reply_put_error(struct redis_reply *reply, const char *text);

/* Marks the connection lost and says why; always false. */
bool redis_wire_broken(struct redis_connection *connection, struct error *error);

#endif
