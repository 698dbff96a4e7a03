/*
 * The number behind a Redis host's name, found outside of requests.
 *
 * The system's resolver may take seconds and can't be bounded, so no request may call it: the main
 * thread refreshes the number, connections use the last one found. A numeric host and a unix
 * socket need none of this.
 */
#ifndef LARDER_REDIS_RESOLVER_H
#define LARDER_REDIS_RESOLVER_H

#include <stdint.h>

#include "redis/address.h"

#define REDIS_NUMBER_SIZE 64

struct redis_resolver;

/* The address must outlive the resolver. Null: memory. */
struct redis_resolver *redis_resolver_new(const struct redis_address *address) MUST_CHECK;
void redis_resolver_free(struct redis_resolver *resolver);

/* Does the address have a name that must be looked up? */
bool redis_resolver_needed(const struct redis_resolver *resolver);

/* Looks the name up; may wait for seconds. On ERROR_UNAVAILABLE the last number stays. */
MUST_CHECK bool redis_resolver_refresh(struct redis_resolver *resolver, struct error *error);

/*
 * The same where it is due: at most once in REDIS_RESOLVE_INTERVAL, sooner while the server is
 * `away`; `now` is monotonic µs. By one thread.
 */
#define REDIS_RESOLVE_INTERVAL (60 * INT64_C(1000000))
#define REDIS_RESOLVE_INTERVAL_AWAY (5 * INT64_C(1000000))
MUST_CHECK bool redis_resolver_tick(struct redis_resolver *resolver, bool away, int64_t now,
                                    struct error *error);

/* The number found last, terminated; false when none has been found yet. From any thread. */
MUST_CHECK bool redis_resolver_number(struct redis_resolver *resolver,
                                      char ret_number[static REDIS_NUMBER_SIZE]);

#endif
