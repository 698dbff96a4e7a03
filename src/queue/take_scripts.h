/*
 * The scripts by which a daemon takes jobs and ends them. Not for other folders.
 */
#ifndef LARDER_QUEUE_TAKE_SCRIPTS_H
#define LARDER_QUEUE_TAKE_SCRIPTS_H

/*
 * Of all: KEYS[1] the stream of jobs, KEYS[2] what stands before an id in a job's name, KEYS[3] the
 * channel of news.
 */

/*
 * ARGV: ms that a cancelled job is kept; entry and id of each. Replies a list a job: r v o d a w x
 * f z; nil: it is no more to be run.
 */
extern const char take_begin_text[];

/*
 * KEYS[4] later, KEYS[5] dead. ARGV: ms that an ended job is kept, ms that a failed one is; then of
 * each job entry, id, state, µs until it is tried again, "1" where this was no try, status, type,
 * Location, body.
 */
extern const char take_end_text[];

/* Replies, for each id of ARGV, 1 where it is to be cancelled. */
extern const char take_progress_text[];

/*
 * KEYS[4] later, KEYS[5] dead. ARGV: the group, ms that dead letters are kept, ms after which a
 * silent worker with no jobs is forgotten. Replies jobs, given, later, dead.
 */
extern const char take_tend_text[];

/* ARGV: the group, the worker, who is forgotten unless jobs are with it. */
extern const char take_leave_text[];

/* ARGV: the group, which is there after it. */
extern const char take_group_text[];

#endif
