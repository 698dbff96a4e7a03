/*
 * What the parts of the store share. Not for other folders, which know store.h alone.
 */
#ifndef LARDER_CACHE_STORE_BASE_H
#define LARDER_CACHE_STORE_BASE_H

#include <pthread.h>

#include "base/quiet.h"
#include "cache/scripts.h"
#include "cache/store.h"
#include "redis/script.h"

/* A key in Redis of fixed name, or an entry's lease. */
#define STORE_NAME_SIZE 320

/*
 * More than what is under way when Redis stops to answer, a batch of each front, and than the
 * probes of half a minute. A lease that is not noted keeps everybody from its entry until its end.
 */
#define STORE_GHOSTS_MAX 1024

struct store_ghost {
    char name[STORE_NAME_SIZE];
    char owner[STORE_OWNER_SIZE];
};

struct store_ghosts {
    pthread_mutex_t lock;
    _Atomic size_t count;
    struct store_ghost items[STORE_GHOSTS_MAX];
};

struct cache_store_settings {
    struct redis_address address;
    const char *prefix; /* of every key */
    int64_t probe;      /* µs between probes of an open breaker */
    int64_t lease;      /* µs a lease lasts at most */
    int64_t guard;      /* µs an entry lives while no heartbeat of larderd is there */
    struct counters *counters;
};

struct cache_store {
    struct store_ghosts ghosts;
    struct cache_store_settings settings;
    struct breaker breaker;
    struct redis_resolver *resolver;
    struct redis_script lookup;
    uint64_t process;        /* random: this process among all lease holders */
    _Atomic uint64_t leases; /* wanted so far */
    struct quiet refusal_quiet;
    char clock[STORE_NAME_SIZE], beat[STORE_NAME_SIZE], journal[STORE_NAME_SIZE];
    char tags[STORE_NAME_SIZE]; /* what stands before a tag */
};

/* May this call, of so many requests, try Redis? Counts those left out. */
bool store_allowed(struct cache_store *store, size_t requests, int64_t budget);

/* A call that failed so many requests: counted, and told to the breaker. */
void store_failed(struct cache_store *store, size_t requests, const struct error *failure,
                  struct error *ret_event);

/* A call that did not fail: told to the breaker; what Redis refused of earlier posts is counted. */
void store_succeeded(struct cache_store *store, struct redis_connection *connection,
                     struct error *ret_event);

/* Redis takes no writes: worth a line of log now and then. */
void store_refused(struct cache_store *store, struct span why, struct error *ret_event);

/* Writes the name of an entry's lease ("…:l:…" for "…:e:…"). False: the key is too long. */
MUST_CHECK bool store_lease_name(const struct cache_store *store, struct span key,
                                 char ret_name[static STORE_NAME_SIZE]);

/* Notes that a look-up which failed may have taken its lease all the same. */
void store_ghost_add(struct cache_store *store, const struct store_query *query);

/*
 * Before a call over this connection: ends the leases that were noted, up to STORE_BATCH, and gives
 * how many. Sent, not waited for; whether Redis has it the call tells.
 */
size_t store_ghosts_end(struct cache_store *store, struct redis_connection *connection,
                        int64_t deadline, struct store_ghost ret_ghosts[static STORE_BATCH]);

/* The call failed: they are to be ended by the next. */
void store_ghosts_return(struct cache_store *store, const struct store_ghost *ghosts, size_t count);

/* A post of one script, under the breaker's rules; its time is taken off the budget. */
bool store_post(struct cache_store *store, struct redis_connection *connection,
                const struct span *words, size_t count, int64_t *budget, struct error *ret_event);

#endif
