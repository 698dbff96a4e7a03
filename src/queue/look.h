/*
 * What has become of a job, for whoever filed it; and cancelling it.
 *
 * A job of another owner is missing, as one that never was. One that nobody signed in for is
 * everybody's who knows its id.
 */
#ifndef LARDER_QUEUE_LOOK_H
#define LARDER_QUEUE_LOOK_H

#include "queue/names.h"
#include "queue/queue.h"

/* Times are wall clock µs, 0 where there is none. Texts live as long as the look's reply. */
struct queue_job {
    enum queue_state state;
    int64_t filed, begun, ended, next;
    int64_t tries;
    int64_t done, of; /* statements */
    bool cancelling;  /* it runs, and is to be cancelled */
    int64_t status;   /* of the answer; 0: none */
    struct span type, location, body;
};

enum queue_found {
    QUEUE_FOUND,
    QUEUE_MISSING,
    QUEUE_ENDED_ALREADY, /* it could not be cancelled */
    QUEUE_LOOK_AWAY,     /* Redis could not be asked */
};

struct queue_look {
    char id[QUEUE_ID_SIZE];       /* queue_id_valid */
    char owner[QUEUE_OWNER_SIZE]; /* who looks */
    bool cancel;                  /* cancels it: at once while it waits, or tells its worker to */
    enum queue_found found;
    struct queue_job job;      /* unless it is missing or Redis away; after cancelling */
    struct redis_reply *reply; /* the caller's to free; null: none */
};

/* The most looks in one call. */
#define QUEUE_LOOKS_MAX 16

/*
 * Looks, in one round trip, within *budget (µs; the time it takes is taken off it), at wall clock
 * `now`. Replies of former looks are freed. An event, when its text is not empty after the call, is
 * worth a line of log.
 */
void queue_look(struct queue *queue, struct redis_connection *connection,
                struct queue_look *const *looks, size_t count, int64_t now, int64_t *budget,
                struct error *ret_event);

/* Frees the reply. */
void queue_look_end(struct queue_look *look);

/* Is the job done, and its result too large to be kept? Then its body is a problem that says so. */
bool queue_job_resultless(const struct queue_job *job);

#endif
