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
#include "base/options.h"
#include "cache/bump.h"
#include "cache/entry.h"
#include "redis/breaker.h"
#include "redis/connection.h"
#include "redis/subscription.h"

struct cache_store;

/*
 * As LARDER_REDIS and the options beside it say; *ret_store is null where it is empty. Looks no
 * name up yet. ERROR_INVALID: it is no address. The address's texts are in `arena`, and these, the
 * options' and the counters must outlive the store.
 */
MUST_CHECK bool cache_store_open(const struct options *options, struct arena *arena,
                                 struct counters *counters, struct cache_store **ret_store,
                                 struct error *error);

/* Null is allowed. */
void cache_store_free(struct cache_store *store);

/*
 * Looks the server's name up where it has one; may wait for seconds, so outside of requests. Cheap
 * when there is nothing to do: at most one look-up in REDIS_RESOLVE_INTERVAL, sooner while Redis is
 * away. On false the last number found stays in use.
 */
MUST_CHECK bool cache_store_resolve(struct cache_store *store, int64_t now, struct error *error);

/* A thread's own connection to the store's Redis. Null: memory. */
struct redis_connection *cache_store_connection(const struct cache_store *store) MUST_CHECK;

/* A subscription there; `silence` as in redis_subscription_new. Null: memory. */
struct redis_subscription *cache_store_subscription(const struct cache_store *store,
                                                    int64_t silence) MUST_CHECK;

enum store_outcome {
    STORE_HIT,    /* fresh */
    STORE_AGED,   /* past its ttl, within its stale window */
    STORE_MISS,   /* nothing that may be served */
    STORE_BYPASS, /* Redis is away, slow or broken: ask the database */
};

/* What a look-up found; the spans live as long as `reply`. */
struct store_found {
    struct entry_meta meta;
    struct span body;   /* the variant asked for; null data when only metadata was asked for */
    enum coding coding; /* of the body */
    struct redis_reply *reply; /* the caller's to free; null: nothing was found */
};

/* A lease's holder is a process and a number: 16 hexadecimal digits, a dot, a number. */
#define STORE_OWNER_SIZE 40

/* The right to fill an entry, which one caller at a time has among all processes and hosts. */
struct store_lease {
    bool held;
    bool refused;   /* Redis takes no writes: whoever fills can't keep the answer */
    uint64_t clock; /* read before the fill's query; what the entry is kept with */
    /* The last strike of CACHE_TAG_DEFINITIONS until then, heard of here or not; 0: none known. */
    uint64_t definitions;
    char owner[STORE_OWNER_SIZE];
};

/* The most look-ups in one call. */
#define STORE_BATCH 16

/* One look-up: what is asked, and what was found. */
struct store_query {
    struct span key; /* as cache_key_write makes it, with the store's prefix */
    const struct coding_accept *accept;
    int64_t now;      /* wall clock, µs */
    bool body_wanted; /* false: the metadata alone */
    bool lease_wanted;
    bool refresh;     /* the lease is wanted of a fresh entry too */
    bool last_wanted; /* what is there is wanted even if it may not be served (STORE_MISS) */
    enum store_outcome outcome;
    struct store_found found; /* after STORE_HIT and STORE_AGED; of STORE_MISS where last_wanted */
    struct store_lease lease; /* where it was wanted and the entry is not simply fresh */
    uint64_t clock;           /* after STORE_HIT: every bump up to this one is accounted for */
    bool existed;             /* there was an entry, though it may not be served */
    bool fresh;               /* … and by its tags and age it was fresh */
    bool expired;             /* … and by its tags it was, but it is too old */
};

/*
 * Looks up to STORE_BATCH keys up, metadata and wanted bodies, in one round trip. Where an entry
 * lacks the variant that its `accept` likes best and has several, a second round trip fetches the
 * best of them. An event, when its text is not empty after the call, is worth a line of log.
 *
 * In each call *budget is how long (µs) a request may still wait for Redis; the time the call took
 * is taken off it, so that all calls of a request together keep to its bound.
 */
void cache_store_lookup(struct cache_store *store, struct redis_connection *connection,
                        struct store_query *const *queries, size_t count, int64_t *budget,
                        struct error *ret_event);

/* Fetches the body for metadata that was looked up without: found->coding of it. */
enum store_outcome cache_store_body(struct cache_store *store, struct redis_connection *connection,
                                    struct span key, int64_t *budget, struct store_found *found,
                                    struct error *ret_event);

/*
 * Keeps an entry for its lifetime, replacing the old one whole, unless a tag of it was struck since
 * the lease's clock; bodies[coding] for each bit of meta->variants. Ends the lease. Sent, not
 * waited for: cache_store_settle, when the request is answered, takes Redis' word on it. True when
 * it was sent.
 */
bool cache_store_keep(struct cache_store *store, struct redis_connection *connection,
                      struct span key, const struct entry_meta *meta,
                      const struct span bodies[CODING_COUNT], const struct store_lease *lease,
                      int64_t *budget, struct error *ret_event);

/* Ends a lease whose fill came to nothing, so that nobody waits for it. Sent, not waited for. */
void cache_store_release(struct cache_store *store, struct redis_connection *connection,
                         struct span key, const struct store_lease *lease, int64_t *budget,
                         struct error *ret_event);

/*
 * Bumps the tags, at least one. False: Redis was not told, or not of all of them.
 */
MUST_CHECK bool cache_store_strike(struct cache_store *store, struct redis_connection *connection,
                                   const struct span *tags, size_t count, int64_t *budget,
                                   struct cache_bumped *ret_bumped, struct error *ret_event);

/* Takes the replies to entries kept over this connection, for at most `limit` µs. */
void cache_store_settle(struct cache_store *store, struct redis_connection *connection,
                        int64_t limit, struct error *ret_event);

#endif
