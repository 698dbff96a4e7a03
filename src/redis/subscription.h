/*
 * One channel of Redis, listened to by one thread.
 *
 * Redis says nothing when there is nothing to say, and a lost line looks the same. So a line that
 * was silent for a while is asked (PING), and given up when it does not answer. A message is either
 * handed out or the subscription fails: between two failures nothing that Redis sent is missed.
 * After a failure (any false) the channel must be subscribed to again, and whoever listens has to
 * assume that he missed something.
 */
#ifndef LARDER_REDIS_SUBSCRIPTION_H
#define LARDER_REDIS_SUBSCRIPTION_H

#include "redis/connection.h"

struct redis_subscription;

/*
 * `silence` µs without a word from Redis lead to a PING, as many more to ERROR_TIMEOUT; a word that
 * has come counts, however late it is read. Address and resolver must outlive the subscription.
 * Opens nothing yet. Null: memory.
 */
struct redis_subscription *redis_subscription_new(const struct redis_address *address,
                                                  struct redis_resolver *resolver,
                                                  int64_t silence) MUST_CHECK;

/* Null is allowed. */
void redis_subscription_free(struct redis_subscription *subscription);

/*
 * Connects anew and subscribes, until `deadline` (monotonic µs). After true Redis has confirmed it:
 * every message published from now on will come. Errors as redis_call's.
 */
MUST_CHECK bool redis_subscribe(struct redis_subscription *subscription, struct span channel,
                                int64_t deadline, struct error *error);

/*
 * Waits for the next message until `deadline` (monotonic µs; a past one only looks). True with
 * *ret_message null: none came. The message is the caller's (redis_reply_free), its text lives as
 * long. False: the line is lost.
 */
MUST_CHECK bool redis_next_message(struct redis_subscription *subscription, int64_t deadline,
                                   struct redis_reply **ret_message, struct span *ret_text,
                                   struct error *error);

/*
 * For poll(2), once redis_next_message gave null: readable when it has more; -1: not subscribed.
 * It must be called at least every `silence` µs too, or a lost line is not found.
 */
int redis_subscription_fd(const struct redis_subscription *subscription);

#endif
