/*
 * Concurrent requests of one process for one entry: one leads (looks it up, fills it), the others
 * are parked until the leader has an answer or has failed.
 *
 * Invariant: a parked job belongs to its flight, and a flight always ends: whoever holds the
 * leading job ends it, whatever comes of the job.
 */
#ifndef LARDER_SERVE_FLIGHT_H
#define LARDER_SERVE_FLIGHT_H

#include "base/span.h"
#include "serve/job.h"

struct flights; /* those of a process */
struct flight;

/* Null: memory. */
struct flights *flights_new(void) MUST_CHECK;

/* Only when no flight is under way. Null is allowed. */
void flights_free(struct flights *flights);

/*
 * True: the job leads, and *ret_flight is its to end; null (memory) leads alone. False: it is
 * parked, and no longer the caller's.
 */
MUST_CHECK bool flight_join(struct flights *flights, struct span key, struct job *job,
                            struct flight **ret_flight);

/* Ends a flight; its parked jobs are the caller's. Null is allowed: none. */
struct job_list flight_end(struct flights *flights, struct flight *flight);

#endif
