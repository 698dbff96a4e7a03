/*
 * The bell: whoever filed jobs says so, once his client has his answer.
 *
 * A worker that slept in Redis itself, on the stream, would be woken with the job, before the
 * client's answer was on its way: where processors are few that answer waits for what the worker
 * then does.
 *
 * Nor does he ring before that answer has had its way: only QUEUE_BELL_QUIET later, for all that he
 * has filed by then, or when he is about to wait for something else. What came of one ring is worth
 * another one no sooner than that after it: whoever hears several looks that often.
 *
 * Invariant: whoever hears a ring looks after it. A ring may be lost all the same, and others file
 * without one: so whoever listens also looks ever so often by himself.
 */
#ifndef LARDER_QUEUE_BELL_H
#define LARDER_QUEUE_BELL_H

#include "queue/queue.h"

/* For so long at most a job waits for its ring, and for so long at least a look for the next: µs.
 */
#define QUEUE_BELL_QUIET INT64_C(1000)

/*
 * Rings for all that was filed until now, over the connection it was filed by. `awaited`: a client
 * waits for a job to be made, so that who hears it is to look at once. Waits for no reply: the
 * connection's next call drops it.
 */
void queue_bell_ring(const struct queue *queue, struct redis_connection *connection, bool awaited);

/* Will hear every ring from now on; `line` is queue_subscription's. Errors as redis_subscribe's. */
MUST_CHECK bool queue_bell_listen(const struct queue *queue, struct redis_subscription *line,
                                  int64_t deadline, struct error *error);

/*
 * Waits for a ring until `deadline` (monotonic µs; a past one only looks). *ret_rung: there was
 * one; *ret_awaited: such a one. False: the line is lost.
 */
MUST_CHECK bool queue_bell_hear(struct redis_subscription *line, int64_t deadline, bool *ret_rung,
                                bool *ret_awaited, struct error *error);

#endif
