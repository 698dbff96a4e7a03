/*
 * Queued jobs (@async), run by threads of larderd: LARDER_WORKERS of them, each with what it took
 * from the queue, several jobs in one transaction.
 *
 * A job's statements and the record that it ran commit together, so whatever dies in between, a job
 * that comes again is answered by its record. One that fails takes the others of its transaction
 * with it, which are then run without it. While PostgreSQL is away jobs wait with their worker and
 * lose no tries; while Redis is away nothing more is begun.
 *
 * One more thread keeps what the workers have in hand from being claimed by others, sees to jobs
 * that are to be cancelled or tried again, and watches how Redis is set up.
 */
#ifndef LARDER_WORK_JOBS_H
#define LARDER_WORK_JOBS_H

#include "base/counters.h"
#include "base/options.h"
#include "db/pool.h"
#include "queue/queue.h"
#include "work/routes.h"
#include "work/striker.h"

struct jobs;

struct jobs_settings {
    const struct options *options;
    struct counters *counters;
    struct queue *queue;
    struct db_pool *pool;
    struct routes *routes;
    struct striker *striker;
};

/* The most that jobs_stop takes, in seconds. */
#define JOBS_STOP_SECONDS 8

/* All that the settings name must outlive it. *ret_jobs is null where LARDER_WORKERS is 0. */
MUST_CHECK bool jobs_start(const struct jobs_settings *settings, struct jobs **ret_jobs,
                           struct error *error);

/*
 * Begins nothing more, gives what runs some seconds, then stops it and leaves it for others. False:
 * a thread hangs still, and nothing that it uses may be freed. Null is allowed.
 */
MUST_CHECK bool jobs_stop(struct jobs *jobs);

#endif
