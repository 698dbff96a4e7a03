/*
 * The tags bumped lately, so that a Redis which lost the last moments (a failover) can be told
 * again. Pure: time is passed in.
 *
 * Two halves, each of one window: tags stay for one to two windows. Beside the tags it is known
 * whether they are *all* that was bumped since some number: somebody else's bump, too many tags or
 * no memory make it incomplete until both halves are newer.
 */
#ifndef LARDER_WORK_RECENT_H
#define LARDER_WORK_RECENT_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"

struct recent;

/* `most`: how many tags a half keeps. `last`: the number of the last bump so far. Null: memory. */
struct recent *recent_new(size_t most, int64_t window, int64_t last, int64_t now) MUST_CHECK;

/* Null is allowed. */
void recent_free(struct recent *recent);

/* Forgets all; every bump since `last` will be told. */
void recent_begin(struct recent *recent, int64_t last, int64_t now);

/* The tags, which may be of recent_list, were bumped; `last` is the highest number drawn. */
void recent_add(struct recent *recent, const struct span *tags, size_t count, int64_t last,
                int64_t now);

/* Somebody else bumped something. */
void recent_miss(struct recent *recent);

/* Does the memory hold all that a server does not know whose last bump had the number `known`? */
bool recent_covers(const struct recent *recent, int64_t known);

/*
 * The tags bumped after the number `known`, perhaps some twice. They live until the next
 * recent_add; *ret_tags is the caller's (free). False: memory.
 */
MUST_CHECK bool recent_list(const struct recent *recent, int64_t known, struct span **ret_tags,
                            size_t *ret_count);

#endif
