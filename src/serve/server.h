/*
 * What all threads of a responder share. Made once at start; only `live` changes, by reload.
 */
#ifndef LARDER_SERVE_SERVER_H
#define LARDER_SERVE_SERVER_H

#include <pthread.h>

#include "base/counters.h"
#include "base/digest.h"
#include "base/network.h"
#include "base/options.h"
#include "cache/clocks.h"
#include "cache/memory.h"
#include "cache/store.h"
#include "cache/urls.h"
#include "db/pool.h"
#include "http/cors.h"
#include "limit/limiter.h"
#include "queue/queue.h"
#include "serve/feed.h"
#include "serve/live.h"

struct auth;
struct chores;
struct crew;
struct flights;
struct queue_events;
struct queue_watcher;
struct feed;
struct job_list;

struct server {
    const struct options *options;
    struct counters *counters;
    struct db_pool *pool;
    struct clocks *clocks;
    struct memory *memory;     /* null: LARDER_L1 is 0, or no Redis */
    struct cache_store *store; /* null: without Redis */
    struct feed *feed;         /* null: without Redis */
    struct cors *cors;         /* null: switched off */
    struct limiter *limiter;
    struct queue *queue;           /* null: no write can be made later */
    struct queue_watcher *watcher; /* null: without a queue; stopped with the crew */
    struct queue_events *events;   /* … */
    struct networks *proxies;      /* whose X-Forwarded-For is believed */
    struct digest_key *etag_key;
    struct auth *auth;         /* null: tokens are off, and no route asks for one */
    int64_t auth_next;         /* monotonic µs: when to look at the key file; its chore's */
    struct urls *urls;         /* null: nothing that nginx keeps is refreshed */
    struct arena *arena;       /* the Redis address's texts */
    pthread_mutex_t live_lock; /* guards the pointer, not what it points to */
    struct live *live;
    struct flights *flights;
    /* Up to which clock a standby told of changed definitions, which can't tell all;
     * server_routes_tick's. Of a primary it is live_known. */
    uint64_t definitions_standby;
    /* monotonic µs: not before; server_routes_tick's */
    int64_t definitions_next, learn_next, installed_next, primary_next;
    _Atomic int jobs_installed; /* enum installed */
    bool outdated_looked;       /* see outdated.h; server_routes_tick's */
    /* Takes jobs that were parked and are to be gone on with; the list is empty after it. */
    void (*wake)(struct crew *crew, struct job_list *jobs);
    struct crew *crew;
    struct chores *chores;
    _Atomic bool ending;             /* nothing more is learnt */
    _Atomic bool reload_wanted;      /* … but what other routes want to be known */
    bool reloading;                  /* server_routes_tick's */
    struct gate *gate;               /* where downloads begin */
    _Atomic int64_t downloads_until; /* monotonic µs: when they are broken off; 0: not so far */
    struct route_counters *unrouted; /* requests that no route matches */
    struct route_counters *internal; /* /_larder/ */
    struct route_counters *job_pages[2]; /* /jobs/{id}: GET, DELETE */
};

/*
 * Opens counters, pool and store as the options say and loads the routes. PostgreSQL and Redis need
 * not be up. On false what is wrong has been logged, and *error sums it up.
 */
MUST_CHECK bool server_open(const struct options *options, struct server **ret_server,
                            struct error *error);

/* Only when no worker runs. Null is allowed. */
void server_close(struct server *server);

/* A reference to the routes served now (live_unref). */
struct live *server_live(struct server *server);

/* Are these the routes served now? */
bool server_serves(struct server *server, const struct live *live);

/*
 * The routes are to be loaded anew, by server_routes_tick: all or nothing. With any fault, in a
 * file or from a PostgreSQL that can be asked, the old routes stay and every fault is logged.
 */
void server_reload(struct server *server);

/* The process is to end: downloads that run may go on for LARDER_STREAM_DRAIN. */
void server_drain(struct server *server);

/* Ten times a second, the main thread's: looks Redis up anew. */
void server_tick(struct server *server);

/*
 * Ten times a second, a chore's, whom it may keep for seconds: loads routes anew, asks PostgreSQL
 * about those it has not told about, and looks for a primary.
 */
void server_routes_tick(struct server *server);

#endif
