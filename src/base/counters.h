/*
 * What happened, counted in memory that all processes of a host share.
 *
 * The plain counters come from counters.def; beside them each route has its requests by status and
 * tier, its jobs by their end, and histograms. Adding is one relaxed atomic addition, safe from any
 * thread and process. The memory is a file in LARDER_RUN that outlives the processes, so counters
 * never run backwards while the host is up (gauges are taken back by the process that raised them,
 * and cleared when the first process of a boot or of an installation starts).
 */
#ifndef LARDER_BASE_COUNTERS_H
#define LARDER_BASE_COUNTERS_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

enum counter {
#define COUNTER(symbol, ...) COUNTER_##symbol,
#include "base/counters.def"
#undef COUNTER
    COUNTER_COUNT,
};

/* Which tier answered. */
enum counter_tier {
    TIER_NONE, /* answered without a lookup or a query: errors, OPTIONS */
    TIER_L1,
    TIER_REDIS,
    TIER_DATABASE,
    TIER_COUNT,
};

/* What became of a write that was queued: as a job, or for a batch. */
enum counter_job {
    COUNTER_JOB_DONE,
    COUNTER_JOB_FAILED, /* for good */
    COUNTER_JOB_CANCELLED,
    COUNTER_JOB_AGAIN, /* no end: it is tried again */
    COUNTER_JOB_COUNT,
};

struct counters;
struct route_counters; /* one route's row */

/*
 * Opens or makes the shared file in `folder`. Fails with ERROR_SYSTEM when the folder can't be
 * written; counters_open_private then gives memory of this process alone.
 */
MUST_CHECK bool counters_open(const char *folder, struct counters **ret_counters,
                              struct error *error);

/* Null on memory. */
struct counters *counters_open_private(void) MUST_CHECK;

/* Takes back this process's share of the gauges. Null is allowed. */
void counters_close(struct counters *counters);

void counters_add(struct counters *counters, enum counter counter, int64_t amount);

/* Of a gauge that any process of the host may measure: what it is from now on. */
void counters_set(struct counters *counters, enum counter gauge, int64_t value);

/*
 * The row of the route called `name` ("GET /feeds"), made at the first asking. Never null: when
 * the table is full, the row "other". Thread-safe.
 */
struct route_counters *counters_route(struct counters *counters, const char *name);

/* Is it the row that routes share for which there is none of their own? */
bool counters_shares(const struct counters *counters, const struct route_counters *row);

/* A finished request; `duration` in microseconds. */
void counters_request(struct route_counters *row, unsigned status, enum counter_tier tier,
                      int64_t duration);

/* One of the route's; `duration`, from its filing, in microseconds: of those done or failed. */
void counters_job(struct route_counters *row, enum counter_job what, int64_t duration);

/* A finished statement of the route. */
void counters_query(struct route_counters *row, int64_t duration);

/*
 * The counters in `folder` as they are now, to be told, not added to. ERROR_SYSTEM when there are
 * none to be read, ERROR_INVALID when they are another version's.
 */
MUST_CHECK bool counters_snapshot(const char *folder, struct counters **ret_counters,
                                  struct error *error);

/* Everything in the Prometheus text format, version 0.0.4. */
void counters_append_prometheus(const struct counters *counters, struct bytes *out);

#endif
