/*
 * What the counters say of each route: how many requests, how they ended, how long they took; and
 * the same of the writes that were queued for it.
 */
#ifndef LARDER_BASE_ROUTE_STATS_H
#define LARDER_BASE_ROUTE_STATS_H

#include "base/counters.h"
#include "base/histogram.h"

struct route_stats {
    const char *name;
    int64_t requests;
    int64_t good;    /* of them below 400 */
    int64_t refused; /* 400 to 499 */
    int64_t failed;  /* from 500 on */
    int64_t by_tier[TIER_COUNT];
    const struct histogram *request_time;
    const struct histogram *query_time;
    int64_t jobs[COUNTER_JOB_COUNT];
    const struct histogram *job_time; /* from queueing to the end, done or failed */
};

/*
 * Gives every route that was asked for or had a queued write made, the most asked first. False:
 * memory. The texts and histograms live as long as the counters.
 */
MUST_CHECK bool route_stats_read(const struct counters *counters, struct route_stats **ret_stats,
                                 size_t *ret_count);

/* When nothing was counted yet: wall clock, µs. */
int64_t route_stats_began(const struct counters *counters);

/* A share of the requests, 0 to 1. */
double route_stats_share(const struct route_stats *stats, int64_t count);

/* Has any write that was queued for it ended, or failed? */
bool route_stats_queued(const struct route_stats *stats);

/* Of the queued writes that are done or failed, the share that is `what`: 0 to 1. */
double route_stats_job_share(const struct route_stats *stats, enum counter_job what);

/* All of it as one JSON object; *out fails on memory. */
void route_stats_append_json(const struct counters *counters, struct bytes *out);

#endif
