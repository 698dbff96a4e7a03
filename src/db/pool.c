#include "db/pool_use.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/peer.h"
#include "db/attempt.h"
#include "db/write_known.h"

/* A thread in the queue, on its own stack. */
struct waiter {
    struct waiter *next;
    pthread_cond_t woken;
    bool granted; /* it may take an idle connection or open one */
};

/* An idle connection and the generation of prepared statements it has. */
struct idle {
    struct db_connection *connection;
    unsigned generation;
};

struct db_pool {
    struct db_pool_settings settings;
    struct counters *counters;
    pthread_mutex_t lock;
    struct idle *idle; /* a stack: the most recently used first */
    size_t idle_count;
    size_t in_use; /* taken or being opened */
    struct waiter *first, *last;
    size_t waiting;
    unsigned generation;
    struct write_known *known;
    atomic_uint epoch;         /* of the settings that a session begins with */
    char settings_seen[33];    /* a digest of these; of the one thread that asks */
    atomic_bool standby;       /* the connection opened last is a standby's */
    _Atomic int64_t seek_next; /* monotonic µs: when a write may look for the primary */
};

struct db_pool *db_pool_new(const struct db_pool_settings *settings, struct counters *counters)
{
    struct db_pool *pool = calloc(1, sizeof *pool);
    struct idle *idle = calloc(settings->connections, sizeof *idle);
    struct write_known *known = write_known_new();
    if (!pool || !idle || !known) {
        free(pool);
        free(idle);
        write_known_free(known);
        return NULL;
    }
    pool->known = known;
    pool->settings = *settings;
    pool->counters = counters;
    pool->idle = idle;
    pthread_mutex_init(&pool->lock, NULL);
    return pool;
}

static void close_connection(struct db_pool *pool, struct db_connection *connection)
{
    db_disconnect(connection);
    counters_add(pool->counters, COUNTER_DB_CONNECTIONS, -1);
}

struct db_pool_settings db_pool_settings_of(const struct options *options)
{
    return (struct db_pool_settings){
        .connections = (size_t)options_number(options, OPTION_DB_POOL),
        .queue = (size_t)options_number(options, OPTION_DB_QUEUE),
        .wait = options_number(options, OPTION_DB_WAIT),
        .connection = db_settings_of(options, options_number(options, OPTION_TIMEOUT))};
}

void db_pool_free(struct db_pool *pool)
{
    if (!pool)
        return;
    while (pool->idle_count)
        close_connection(pool, pool->idle[--pool->idle_count].connection);
    pthread_mutex_destroy(&pool->lock);
    write_known_free(pool->known);
    free(pool->idle);
    free(pool);
}

static void queue_append(struct db_pool *pool, struct waiter *waiter)
{
    if (pool->last)
        pool->last->next = waiter;
    else
        pool->first = waiter;
    pool->last = waiter;
    pool->waiting++;
    counters_add(pool->counters, COUNTER_DB_WAITING, 1);
}

static void queue_remove(struct db_pool *pool, struct waiter *waiter)
{
    struct waiter *before = NULL;
    for (struct waiter *at = pool->first; at != waiter; at = at->next)
        before = at;
    if (before)
        before->next = waiter->next;
    else
        pool->first = waiter->next;
    if (pool->last == waiter)
        pool->last = before;
    pool->waiting--;
    counters_add(pool->counters, COUNTER_DB_WAITING, -1);
}

/* Under the lock. The giver of a place has already counted it as in use. */
static bool wait_granted(struct db_pool *pool, int peer, int64_t deadline)
{
    struct waiter waiter = {0};
    clock_condition_init(&waiter.woken);
    queue_append(pool, &waiter);
    while (!waiter.granted && clock_monotonic() < deadline && !peer_has_left(peer)) {
        int64_t look = peer >= 0 ? clock_monotonic() + PEER_LOOK : deadline;
        clock_condition_wait(&waiter.woken, &pool->lock, look < deadline ? look : deadline);
    }
    if (!waiter.granted)
        queue_remove(pool, &waiter);
    pthread_cond_destroy(&waiter.woken);
    return waiter.granted;
}

/* Under the lock: one place of the pool, for this thread to fill. */
static bool place_take(struct db_pool *pool, int peer, int64_t deadline)
{
    if (pool->in_use < pool->settings.connections) {
        pool->in_use++;
        return true;
    }
    return pool->waiting < pool->settings.queue && wait_granted(pool, peer, deadline);
}

/* Under the lock: hands the place to the first in the queue, or frees it. */
static void place_give(struct db_pool *pool)
{
    struct waiter *waiter = pool->first;
    if (!waiter) {
        pool->in_use--;
        return;
    }
    queue_remove(pool, waiter);
    waiter->granted = true;
    pthread_cond_signal(&waiter->woken);
}

/* Under the lock: an idle connection, or null. */
static struct db_connection *idle_pop(struct db_pool *pool)
{
    if (!pool->idle_count)
        return NULL;
    struct idle *top = &pool->idle[--pool->idle_count];
    if (top->generation != pool->generation)
        db_forget_prepared(top->connection);
    return top->connection;
}

void db_pool_drop_idle(struct db_pool *pool)
{
    for (;;) {
        pthread_mutex_lock(&pool->lock);
        struct db_connection *connection = idle_pop(pool);
        pthread_mutex_unlock(&pool->lock);
        if (!connection)
            return;
        close_connection(pool, connection);
    }
}

/* Is it of another epoch, or a standby's, though the primary can be reached again? */
static bool is_outdated(struct db_pool *pool, const struct db_connection *connection)
{
    return connection->epoch != atomic_load(&pool->epoch) ||
           (db_standby(connection) && !atomic_load(&pool->standby));
}

/* The newest idle connection that is still of use, or null. */
static struct db_connection *idle_take(struct db_pool *pool)
{
    for (;;) {
        pthread_mutex_lock(&pool->lock);
        struct db_connection *connection = idle_pop(pool);
        pthread_mutex_unlock(&pool->lock);
        if (!connection || (db_idle_alive(connection) && !is_outdated(pool, connection)))
            return connection;
        close_connection(pool, connection);
    }
}

/* Under the lock. */
static void idle_push(struct db_pool *pool, struct db_connection *connection)
{
    pool->idle[pool->idle_count++] =
        (struct idle){.connection = connection, .generation = pool->generation};
}

/* An idle connection as it is wanted, or null. */
static struct db_connection *idle_find(struct db_pool *pool, enum db_wanted wanted)
{
    /* After a lost server the other idle connections are as good as lost. */
    if (wanted == DB_WANTED_FRESH)
        db_pool_drop_idle(pool);
    struct db_connection *idle = wanted == DB_WANTED_FRESH ? NULL : idle_take(pool);
    if (!idle || wanted != DB_WANTED_PRIMARY || !db_standby(idle))
        return idle;
    pthread_mutex_lock(&pool->lock);
    idle_push(pool, idle);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static bool open_connection(struct db_pool *pool, int64_t deadline,
                            struct db_connection **ret_connection, struct db_failure *failure)
{
    unsigned epoch = atomic_load(&pool->epoch);
    if (!db_connect(&pool->settings.connection, deadline, ret_connection, failure))
        return false;
    (*ret_connection)->epoch = epoch;
    atomic_store(&pool->standby, db_standby(*ret_connection));
    return true;
}

/* One was opened though others are idle: one of these makes room for it. */
static void idle_close_one(struct db_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct db_connection *connection = idle_pop(pool);
    pthread_mutex_unlock(&pool->lock);
    if (connection)
        close_connection(pool, connection);
}

static bool has_left(struct db_failure *failure)
{
    return db_failure_set(failure, DB_FAILURE_BUSY,
                          "whoever waited for a connection to PostgreSQL has left");
}

static bool place_fill(struct db_pool *pool, enum db_wanted wanted, const struct db_guest *guest,
                       int64_t deadline, struct db_connection **ret_connection,
                       struct db_failure *failure)
{
    struct db_connection *idle = idle_find(pool, wanted);
    if (idle) {
        *ret_connection = idle;
        return true;
    }
    if (guest->turn && !guest->turn(guest->context))
        return has_left(failure);
    if (guest->turn)
        deadline = clock_monotonic() + pool->settings.wait;
    if (!open_connection(pool, deadline, ret_connection, failure))
        return false;
    if (wanted == DB_WANTED_PRIMARY)
        idle_close_one(pool);
    counters_add(pool->counters, COUNTER_DB_CONNECTS, 1);
    counters_add(pool->counters, COUNTER_DB_CONNECTIONS, 1);
    return true;
}

static void place_return(struct db_pool *pool)
{
    counters_add(pool->counters, COUNTER_DB_BUSY, -1);
    pthread_mutex_lock(&pool->lock);
    place_give(pool);
    pthread_mutex_unlock(&pool->lock);
}

bool db_pool_take(struct db_pool *pool, enum db_wanted wanted,
                  struct db_connection **ret_connection, struct db_failure *failure)
{
    const struct db_guest nobody = {.peer = PEER_NOBODY};
    return db_pool_take_for(pool, wanted, &nobody, ret_connection, failure);
}

bool db_pool_take_for(struct db_pool *pool, enum db_wanted wanted, const struct db_guest *guest,
                      struct db_connection **ret_connection, struct db_failure *failure)
{
    int64_t deadline = clock_monotonic() + pool->settings.wait;
    pthread_mutex_lock(&pool->lock);
    bool placed = place_take(pool, guest->peer, deadline);
    pthread_mutex_unlock(&pool->lock);
    if (!placed && peer_has_left(guest->peer))
        return has_left(failure);
    if (!placed) {
        counters_add(pool->counters, COUNTER_DB_WAIT_TIMEOUTS, 1);
        return db_failure_set(failure, DB_FAILURE_BUSY,
                              "no connection to PostgreSQL became free in time");
    }
    counters_add(pool->counters, COUNTER_DB_BUSY, 1);
    if (place_fill(pool, wanted, guest, deadline, ret_connection, failure))
        return true;
    place_return(pool);
    return false;
}

void db_pool_give(struct db_pool *pool, struct db_connection *connection)
{
    counters_add(pool->counters, COUNTER_DB_BUSY, -1);
    if (!db_usable(connection) || is_outdated(pool, connection) ||
        ((connection->touched || connection->drawn) && !attempt_reset(connection, DB_GRACE))) {
        close_connection(pool, connection);
        connection = NULL;
    }
    pthread_mutex_lock(&pool->lock);
    if (connection)
        idle_push(pool, connection);
    place_give(pool);
    pthread_mutex_unlock(&pool->lock);
}

/* One attempt; *ret_lost says whether the connection was lost under it. */
static bool read_once(struct db_pool *pool, enum db_wanted wanted,
                      const struct db_statement *statement, struct db_result **ret_result,
                      bool *ret_standby, bool *ret_lost, struct db_failure *failure)
{
    struct db_connection *connection;
    *ret_lost = false;
    if (!db_pool_take(pool, wanted, &connection, failure))
        return false;
    *ret_standby = db_standby(connection);
    bool done = db_run(connection, statement, ret_result, failure);
    *ret_lost = !done && !db_usable(connection) && failure->kind == DB_FAILURE_UNAVAILABLE;
    db_pool_give(pool, connection);
    return done;
}

bool db_pool_read(struct db_pool *pool, const struct db_statement *statement,
                  struct db_result **ret_result, bool *ret_standby, struct db_failure *failure)
{
    int64_t begin = clock_monotonic();
    struct db_failure local = {0};
    struct db_statement again = *statement;
    bool lost;
    bool done = read_once(pool, DB_WANTED_ANY, statement, ret_result, ret_standby, &lost, &local);
    again.timeout -= clock_monotonic() - begin;
    if (lost && again.timeout > 0)
        done = read_once(pool, DB_WANTED_FRESH, &again, ret_result, ret_standby, &lost, &local);
    if (!done && failure)
        *failure = local;
    return done;
}

/* Between two writes that look for the primary, µs. */
#define SEEK_PAUSE INT64_C(1000000)

bool db_pool_may_seek(struct db_pool *pool)
{
    int64_t now = clock_monotonic(), next = atomic_load(&pool->seek_next);
    return !atomic_load(&pool->standby) ||
           (now >= next &&
            atomic_compare_exchange_strong(&pool->seek_next, &next, now + SEEK_PAUSE));
}

void db_pool_seek_primary(struct db_pool *pool, int64_t deadline)
{
    struct db_connection *connection;
    if (atomic_load(&pool->standby) && open_connection(pool, deadline, &connection, NULL))
        db_disconnect(connection);
}

struct write_known *db_pool_known(struct db_pool *pool)
{
    return pool->known;
}

void db_pool_forget_prepared(struct db_pool *pool)
{
    write_known_forget(pool->known);
    pthread_mutex_lock(&pool->lock);
    pool->generation++;
    pthread_mutex_unlock(&pool->lock);
}

static const char settings_sql[] =
    "SELECT pg_catalog.md5(pg_catalog.string_agg(pg_catalog.concat_ws(' ', s.setdatabase,"
    " s.setrole, s.setconfig), ',' ORDER BY s.setdatabase, s.setrole))"
    " FROM pg_catalog.pg_db_role_setting AS s, pg_catalog.pg_database AS d, pg_catalog.pg_roles AS "
    "r"
    " WHERE d.datname = pg_catalog.current_database() AND r.rolname = SESSION_USER"
    " AND s.setdatabase IN (0, d.oid) AND s.setrole IN (0, r.oid)";

bool db_pool_renew(struct db_pool *pool, struct db_connection *connection, int64_t timeout,
                   struct db_failure *failure)
{
    struct db_result *result;
    struct db_failure local = {0};
    char seen[sizeof pool->settings_seen];
    if (!db_execute(connection, settings_sql, NULL, 0, timeout, &result, &local)) {
        if (failure)
            *failure = local;
        return db_failure_is_refusal(&local);
    }
    struct span value = db_result_value(result, 0, 0);
    snprintf(seen, sizeof seen, "%.*s", SPAN_PRINTF(value));
    db_result_free(result);
    if (strcmp(seen, pool->settings_seen) != 0)
        atomic_fetch_add(&pool->epoch, 1);
    memcpy(pool->settings_seen, seen, sizeof seen);
    return true;
}

void db_pool_renew_itself(struct db_pool *pool, int64_t timeout)
{
    struct db_connection *connection;
    if (!db_pool_take(pool, DB_WANTED_ANY, &connection, NULL))
        return;
    (void)!db_pool_renew(pool, connection, timeout, NULL);
    db_pool_give(pool, connection);
}
