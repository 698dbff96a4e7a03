/*
 * Values that Redis alone has: no entry, no tag, no clock. What was set is there until its time is
 * over, it is deleted, or Redis needs the room.
 *
 * The store's rules hold for these calls too: each is one round trip, within *budget (µs, taken off
 * it), and none while the breaker is open. The key in Redis is `P:v:<name>` (P the prefix). All may
 * be done again without harm, so whoever was told KV_AWAY asks once more.
 */
#ifndef LARDER_CACHE_KV_H
#define LARDER_CACHE_KV_H

#include "cache/store.h"

/* The longest name, in bytes. */
#define KV_NAME_MAX 512

enum kv_outcome {
    KV_DONE,
    KV_MISSING, /* there is no such value */
    KV_AWAY,    /* Redis is away, slow or refuses: a change may have been made, or not */
};

struct kv_found {
    struct span value;         /* lives as long as `reply` */
    int64_t left;              /* µs it is still there; -1: it stays */
    struct redis_reply *reply; /* the caller's to free */
};

/* `ttl` in µs; 0: it stays. */
enum kv_outcome kv_set(struct cache_store *store, struct redis_connection *connection,
                       struct span name, struct span value, int64_t ttl, int64_t *budget,
                       struct error *ret_event);

/* *ret_found is written on KV_DONE alone. What is no text (another program's key) is missing. */
enum kv_outcome kv_get(struct cache_store *store, struct redis_connection *connection,
                       struct span name, int64_t *budget, struct kv_found *ret_found,
                       struct error *ret_event);

enum kv_outcome kv_delete(struct cache_store *store, struct redis_connection *connection,
                          struct span name, int64_t *budget, struct error *ret_event);

#endif
