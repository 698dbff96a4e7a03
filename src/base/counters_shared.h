/*
 * The memory of the counters, for the files that count and those that tell. Not for others.
 */
#ifndef LARDER_BASE_COUNTERS_SHARED_H
#define LARDER_BASE_COUNTERS_SHARED_H

#include <stdatomic.h>

#include "base/counters.h"
#include "base/histogram.h"

#define COUNTER_ROUTES_MAX 2048
#define COUNTER_NAME_MAX 192
#define COUNTERS_FILE "counters-1"
/* Changes with any change of the structs here; with that of their size, as by a counter, by itself.
 */
#define COUNTERS_MAGIC (UINT64_C(0x3273746e756f634c) + sizeof(struct counters_shared))

struct counter_row {
    const char *name;
    bool gauge;
    const char *prose;
};

extern const struct counter_row counter_rows[COUNTER_COUNT];
extern const char *const counter_tier_names[TIER_COUNT];
extern const char *const counter_job_names[COUNTER_JOB_COUNT];

/* The statuses Larder gives; the last, 0, is for any other. */
#define COUNTER_STATUSES 26
extern const unsigned counter_statuses[COUNTER_STATUSES];

enum row_state {
    COUNTER_ROW_FREE,
    COUNTER_ROW_CLAIMED, /* its name is being written */
    COUNTER_ROW_READY,
};

struct route_counters {
    _Atomic int state;
    char name[COUNTER_NAME_MAX];
    _Atomic int64_t requests[COUNTER_STATUSES][TIER_COUNT];
    struct histogram request_time;
    struct histogram query_time;
    _Atomic int64_t jobs[COUNTER_JOB_COUNT];
    struct histogram job_time;
};

struct counters_shared {
    _Atomic uint64_t magic;
    int64_t began; /* wall clock, µs: when nothing was counted yet */
    _Atomic int64_t plain[COUNTER_COUNT];
    struct route_counters other;
    struct route_counters routes[COUNTER_ROUTES_MAX];
};

struct counters {
    struct counters_shared *shared;
    /* What this process added: its gauges are taken back at its end. */
    _Atomic int64_t own[COUNTER_COUNT];
    int file; /* holds a shared lock while the process lives; -1: private */
};

#endif
