/*
 * The queued writes of all routes with @behind, made in batches by threads of its own: when as many
 * wait as a batch may have, or the oldest has waited for as long as it may. Routes don't wait for
 * each other, unless more of them than there are threads wait for locks in PostgreSQL.
 */
#ifndef LARDER_WORK_BEHIND_H
#define LARDER_WORK_BEHIND_H

#include "base/counters.h"
#include "base/options.h"
#include "db/pool.h"
#include "queue/queue.h"
#include "work/routes.h"

struct behind;

struct behind_settings {
    const struct options *options;
    struct counters *counters;
    struct queue *queue;
    struct db_pool *pool;
    struct routes *routes;
};

/* All that the settings name must outlive it. */
MUST_CHECK bool behind_start(const struct behind_settings *settings, struct behind **ret_behind,
                             struct error *error);

/* Waits for the batches at hand. Null is allowed. */
void behind_stop(struct behind *behind);

#endif
