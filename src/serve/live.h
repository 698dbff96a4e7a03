/*
 * The routes as they are served: the parsed table and what each route needs at run time.
 *
 * Built whole, then published; requests hold a reference. The only thing that changes afterwards
 * is `learned`, from what the file says to what PostgreSQL says, and how new that is.
 */
#ifndef LARDER_SERVE_LIVE_H
#define LARDER_SERVE_LIVE_H

#include <stdatomic.h>

#include "base/counters.h"
#include "cache/key.h"
#include "db/learn.h"
#include "http/vary.h"
#include "route/table.h"

struct served {
    const struct route *route;
    struct cache_version version;
    struct route_counters *counters;
    struct learned *_Atomic learned; /* never null */
    _Atomic int64_t lasted; /* µs of its last query or write, all waits included; 0: none */
    bool asked;             /* PostgreSQL has told, or complained: only the loader looks at it */
    bool control_first;     /* nginx is to read the Cache-Control: X-Accel-Expires comes after it */
    struct span head;       /* the header lines that never change: Cache-Control and Vary */
};

struct live;

struct live_settings {
    const char *folder;
    struct counters *counters;
    unsigned vary;               /* enum vary bits of all answers, beside those of their route */
    bool (*ends)(void *context); /* null, or: is nothing more to be asked about? */
    void *context;               /* … its; must outlive the live */
};

/*
 * Reads every .sql file below the folder, in order of path, and builds the table. Faults (all of
 * them, of files and folder) go to `faults`; null when there is any, or on memory.
 */
struct live *live_load(const struct live_settings *settings, struct fault_list *faults) MUST_CHECK;

/*
 * Does "private" go before this Cache-Control of the route? An answer to somebody is nobody else's,
 * unless the route says so in words.
 */
bool live_adds_private(const struct route *route, struct span control);

struct live *live_ref(struct live *live);
void live_unref(struct live *live);

const struct route_table *live_table(const struct live *live);
size_t live_count(const struct live *live);

/* In no order that means anything. */
struct served *live_at(struct live *live, size_t index);

/* The row of a route of this live's table. */
struct served *live_find(struct live *live, const struct route *route);

/*
 * Asks PostgreSQL about every route not asked yet. Its complaints go to `faults`. False when it
 * could not be asked about all, and *failure is the last reason; call again later. Tables that are
 * locked are waited for five seconds, all together, and behind that DB_LOCK_GLANCE each. Only one
 * thread at a time.
 */
MUST_CHECK bool live_learn(struct live *live, struct db_connection *connection,
                           struct fault_list *faults, struct db_failure *failure);

/*
 * Asks about every route anew, after definitions in PostgreSQL changed; *ret_changed says whether
 * anything is different. What it complains of goes to `faults`, and that route stays as it is, but
 * counts as one whose changes are not heard of. False as live_learn. Only one thread at a time, and
 * the same as live_learn's.
 */
MUST_CHECK bool live_learn_anew(struct live *live, struct db_connection *connection,
                                struct fault_list *faults, bool *ret_changed,
                                struct db_failure *failure);

/*
 * Up to which clock of changed definitions all routes have been learnt; 0: not so far. Its own, for
 * requests may still have the routes of before a reload, which nobody asks about anew.
 */
void live_know(struct live *live, uint64_t clock);
uint64_t live_known(const struct live *live);

/* Is there a route PostgreSQL has not been asked about? */
bool live_unasked(const struct live *live);

#endif
