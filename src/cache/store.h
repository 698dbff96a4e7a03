/*
 * The cache in Redis, as the responder sees it: look up, keep, and never be the reason that a
 * request fails.
 *
 * One store serves all threads; each brings its own connection. Whatever goes wrong with Redis is
 * counted, trips the breaker, and reads as STORE_BYPASS.
 */
#ifndef LARDER_CACHE_STORE_H
#define LARDER_CACHE_STORE_H

#include "base/counters.h"
#include "cache/entry.h"
#include "redis/breaker.h"
#include "redis/connection.h"

struct cache_store;

struct cache_store_settings {
    struct redis_address address;
    int64_t timeout; /* µs a request waits for Redis */
    int64_t probe;   /* µs between probes of an open breaker */
    struct counters *counters;
};

/* The address's texts must outlive the store. Null: memory. */
struct cache_store *cache_store_new(const struct cache_store_settings *settings) MUST_CHECK;
void cache_store_free(struct cache_store *store);

/* A thread's own connection to the store's Redis. Null: memory. */
struct redis_connection *cache_store_connection(const struct cache_store *store) MUST_CHECK;

enum store_outcome {
    STORE_HIT,
    STORE_MISS,
    STORE_BYPASS, /* Redis is away, slow or broken: ask the database */
};

/* What a look-up found; the spans live as long as `reply`. */
struct store_found {
    struct entry_meta meta;
    struct span body;   /* the variant asked for; null data when only metadata was asked for */
    enum coding coding; /* of the body */
    struct redis_reply *reply; /* to be freed by the caller after STORE_HIT */
};

/*
 * Looks the key up and fetches metadata and the body in one round trip; `body_wanted` false
 * fetches the metadata alone. `preferred` is the coding the client likes best; where the entry has
 * no such variant and more than one, a second round trip fetches the best of `accept`. *ret_event,
 * when not null after the call, is something worth a line of log.
 */
enum store_outcome cache_store_lookup(struct cache_store *store,
                                      struct redis_connection *connection, struct span key,
                                      const struct coding_accept *accept, bool body_wanted,
                                      struct store_found *ret_found, struct error *ret_event);

/* Fetches the body for metadata that was looked up without. */
enum store_outcome cache_store_body(struct cache_store *store, struct redis_connection *connection,
                                    struct span key, enum coding coding, struct store_found *found,
                                    struct error *ret_event);

/*
 * Keeps an entry for its lifetime, replacing the old one whole. Sent, not waited for: it is in
 * Redis before any later command of this connection is.  bodies[coding] for each bit of
 * meta->variants. True when it was sent.
 */
bool cache_store_keep(struct cache_store *store, struct redis_connection *connection,
                      struct span key, const struct entry_meta *meta,
                      const struct span bodies[CODING_COUNT], struct error *ret_event);

#endif
