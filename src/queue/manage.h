/*
 * An operator's view of the jobs: all of them, one with everything, trying a dead letter again,
 * dropping what shall not be done.
 *
 * Calls have deadlines and no breaker. What is listed may have gone on meanwhile; what is changed
 * is changed only where its state still allows it.
 */
#ifndef LARDER_QUEUE_MANAGE_H
#define LARDER_QUEUE_MANAGE_H

#include "queue/names.h"
#include "queue/queue.h"

struct queue_manager;

/* The queue must outlive it. `job_ttl`: µs that a job which has ended is kept. Null: memory. */
struct queue_manager *queue_manager_new(const struct queue *queue, int64_t job_ttl) MUST_CHECK;

/* Null is allowed. */
void queue_manager_free(struct queue_manager *manager);

/* Where jobs are that have not been done. */
enum queue_place_kind {
    QUEUE_PLACE_JOBS,  /* they wait or run */
    QUEUE_PLACE_LATER, /* they wait for their next try */
    QUEUE_PLACE_DEAD,  /* they failed for good */
    QUEUE_PLACE_COUNT,
};

/* Texts are the reply's; empty where the job has none. */
struct queue_listed {
    char id[QUEUE_ID_SIZE];
    struct span state, route, tries, filed, next, status, document, progress, type, body,
        why;
};

/* False: no more is wanted. */
typedef bool queue_visit(void *context, const struct queue_listed *job);

/* The oldest first. `patience`: µs for each of some round trips. */
MUST_CHECK bool queue_list(const struct queue_manager *manager, struct redis_connection *connection,
                           enum queue_place_kind place, int64_t patience, queue_visit *visit,
                           void *context, struct error *error);

/* The job of this id; not visited where there is none. */
MUST_CHECK bool queue_show(const struct queue_manager *manager, struct redis_connection *connection,
                           const char *id, int64_t patience, queue_visit *visit, void *context,
                           struct error *error);

enum queue_change {
    QUEUE_CHANGE_RETRY, /* of a failed one: it waits again, with all its tries */
    QUEUE_CHANGE_DROP,  /* a failed one is forgotten, one that waits is cancelled */
};

/*
 * *ret_changed is false where the job's state does not allow it; *ret_state is that state then,
 * QUEUE_STATE_COUNT where there is no such job.
 */
MUST_CHECK bool queue_change(const struct queue_manager *manager,
                             struct redis_connection *connection, enum queue_change change,
                             const char *id, int64_t patience, bool *ret_changed,
                             enum queue_state *ret_state, struct error *error);

#endif
