/*
 * Whether the Redis of the queue is set up so that nothing it was given is lost.
 */
#ifndef LARDER_QUEUE_SETTINGS_H
#define LARDER_QUEUE_SETTINGS_H

#include "redis/connection.h"

#define QUEUE_COMPLAINTS_MAX 4

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

#endif
