/*
 * Whether the Redis of the queue is set up so that nothing it was given is lost.
 */
#ifndef LARDER_QUEUE_SETTINGS_H
#define LARDER_QUEUE_SETTINGS_H

#include "queue/queue.h"

#define QUEUE_COMPLAINTS_MAX 5

/* What to tell the operator; constant texts. */
struct queue_complaints {
    const char *texts[QUEUE_COMPLAINTS_MAX];
    size_t count;
};

/*
 * Asks Redis until `deadline` (monotonic µs). A Redis that does not tell (a rented one may forbid
 * CONFIG) is complained of as well. Errors as redis_call's.
 */
MUST_CHECK bool queue_settings_check(struct redis_connection *connection, int64_t deadline,
                                     struct queue_complaints *ret_complaints, struct error *error);

/*
 * Adds to the complaints where the Redis of `connection`, the queue's, is the one of LARDER_REDIS
 * under another name or behind a socket, and so is the database; nothing where that one does not
 * answer. May wait for a name to be looked up.
 */
MUST_CHECK bool queue_apart_check(const struct queue *queue, const struct options *options,
                                  struct redis_connection *connection, int64_t deadline,
                                  struct queue_complaints *complaints, struct error *error);

#endif
