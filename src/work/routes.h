/*
 * The routes whose writes larderd makes: those of LARDER_ROUTES, as the responders load them.
 *
 * A thread of its own loads them, at the start and anew at SIGHUP, all or nothing: with a fault the
 * old ones stay. It asks PostgreSQL about them until it has told, and again now and then, for
 * definitions may change. So neither the feed nor a worker waits for that.
 */
#ifndef LARDER_WORK_ROUTES_H
#define LARDER_WORK_ROUTES_H

#include "base/counters.h"
#include "base/options.h"
#include "db/pool.h"
#include "serve/live.h"

struct routes;

/*
 * All must outlive it. `pool` forgets what it prepared when routes or their types are others. That
 * no routes can be loaded is logged and no error: there may be some later.
 */
MUST_CHECK bool routes_start(const struct options *options, struct counters *counters,
                             struct db_pool *pool, struct routes **ret_routes, struct error *error);

/* Null is allowed. */
void routes_stop(struct routes *routes);

/* A reference to the routes of now (live_unref); null: none could be loaded yet. Any thread. */
struct live *routes_live(struct routes *routes);

/* Whether the load at the start is over, with routes or without. Any thread. */
bool routes_tried(struct routes *routes);

/* Loads them anew, soon. Never waits. */
void routes_reload(struct routes *routes);

#endif
