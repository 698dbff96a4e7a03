/*
 * When larderd asks nginx for what: the plan of refreshes, without the asking. Pure: times are
 * monotonic microseconds, passed in.
 *
 * A URL is in the plan once, however often it is found stale. Of several that are due the one
 * waits shortest that was due first; so many are under way at a time, and so many begin in a
 * second, that the readers are not held up: beyond that a page's ttl alone bounds its age. A
 * failure is tried again, ever later, until nginx may not serve the page any more.
 *
 * An answer that was on its way to nginx before the change may be stored after the refresh's. So
 * nginx is looked at again a while later; another version than the refreshed one is refreshed.
 */
#ifndef LARDER_WORK_REFRESH_PLAN_H
#define LARDER_WORK_REFRESH_PLAN_H

#include "cache/urls.h"

#define REFRESH_AT_ONCE 8       /* under way at a time */
#define REFRESH_PER_SECOND 1000 /* beginning */
#define REFRESH_LOOKS_PER_SECOND 500
#define REFRESH_PLAN_MAX 1024 /* in the plan; more are found stale again later */

#define REFRESH_TAG_MAX 95 /* of an ETag, quotes included */

struct refresh_plan;

enum refresh_kind {
    REFRESH_FETCH, /* past the zone: nginx stores what comes */
    REFRESH_LOOK,  /* what nginx serves: has it `tag` still? */
};

/* What is to be asked for. Valid until the plan is told how it ended. */
struct refresh_job {
    enum refresh_kind kind;
    const char *target;
    enum url_coding coding;
    const char *tag;
};

enum refresh_outcome {
    REFRESH_DONE,   /* fetched, with an ETag; or looked at, and nginx has it */
    REFRESH_GONE,   /* there is no such page any more: nothing more to do */
    REFRESH_OTHER,  /* looked at: nginx has another version */
    REFRESH_FAILED, /* no answer, or an error of the server's */
};

/* Null: memory. */
struct refresh_plan *refresh_plan_new(void) MUST_CHECK;

/* Null is allowed. */
void refresh_plan_free(struct refresh_plan *plan);

/*
 * The URL was found stale; nginx serves it `life` µs more at most. Asked for now, unless it is
 * under way. False: it was fetched and is as old as before, so it is tried again as after a
 * failure.
 */
bool refresh_plan_add(struct refresh_plan *plan, const struct url_found *found, int64_t life,
                      int64_t now);

/* The next that is due and may begin. Null: none. */
struct refresh_job *refresh_plan_begin(struct refresh_plan *plan, int64_t now) MUST_CHECK;

/* A job has ended; `tag` is the ETag of what was fetched. The job is the plan's again. */
void refresh_plan_end(struct refresh_plan *plan, struct refresh_job *job,
                      enum refresh_outcome outcome, struct span tag, int64_t now);

/* When refresh_plan_begin will give something, unless a job ends before; INT64_MAX: not by itself.
 */
int64_t refresh_plan_next(const struct refresh_plan *plan);

size_t refresh_plan_count(const struct refresh_plan *plan);

#endif
