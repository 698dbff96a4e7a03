/*
 * The daemon's side of Redis: bumps and heartbeats on a server that is proved.
 *
 * A server is proved when it is the primary and every bump it may have lost was bumped again. That
 * is asked whenever the connection was opened anew: another run_id than the one noted in Redis
 * means a restart or a failover, so numbers and bumps may be lost. Then the clock jumps by the
 * guard TTL and the bumps it lacks are made again; where they are not all known, `*` is bumped.
 */
#ifndef LARDER_WORK_BUMPER_H
#define LARDER_WORK_BUMPER_H

#include "base/counters.h"
#include "base/options.h"
#include "cache/bump.h"
#include "db/outbox.h"

struct bumper;

/*
 * LARDER_REDIS must be set. The options and counters must outlive the bumper. Connects to nothing
 * yet. ERROR_INVALID: the URL.
 */
MUST_CHECK bool bumper_new(const struct options *options, struct counters *counters,
                           struct bumper **ret_bumper, struct error *error);

/* Null is allowed. */
void bumper_free(struct bumper *bumper);

/* Connects and proves the server where that is not done already. May wait a second, or two. */
MUST_CHECK bool bumper_ready(struct bumper *bumper, struct error *error);

/* Bumps; a proved server is needed, and is not proved any more after a failure. */
MUST_CHECK bool bumper_bump(struct bumper *bumper, const struct span *tags, size_t count,
                            struct error *error);

/* Bumps the tags of a batch, and `*` where a crash has emptied the outbox; as bumper_bump. */
MUST_CHECK bool bumper_bump_batch(struct bumper *bumper, const struct db_outbox_batch *batch,
                                  struct error *error);

/* Beats; as bumper_bump. */
MUST_CHECK bool bumper_beat(struct bumper *bumper, int64_t lifetime, struct error *error);

#endif
