/*
 * What nginx keeps is asked for anew when it changes: a thread of larderd. The only user of
 * libcurl.
 *
 * It needs no queue: whatever the host's clocks show to be struck after it was given to nginx is
 * stale, whoever struck it and whenever larderd started. So a lost wake or a killed larderd costs
 * time, never a change.
 */
#ifndef LARDER_WORK_REFRESH_H
#define LARDER_WORK_REFRESH_H

#include "base/counters.h"
#include "base/options.h"
#include "cache/clocks.h"

struct refresh;

/*
 * Starts the thread, or, where LARDER_NGINX names no site, gives null. Options, counters and clocks
 * must outlive it. ERROR_INVALID: the secret's file; else as shared_file_map.
 */
MUST_CHECK bool refresh_start(const struct options *options, struct counters *counters,
                              const struct clocks *clocks, struct refresh **ret_refresh,
                              struct error *error);

/* The clocks have changed. From any thread; without it a change is seen two milliseconds later. */
void refresh_wake(struct refresh *refresh);

/* Ends the thread and what is under way. Null is allowed. */
void refresh_stop(struct refresh *refresh);

#endif
