/*
 * The thread beside the workers: keeps what they have in hand, sees to what is to be cancelled or
 * tried again, and watches how Redis is set up.
 */
#ifndef LARDER_WORK_JOBS_KEEPER_H
#define LARDER_WORK_JOBS_KEEPER_H

/* The thread's function; the argument is a struct jobs. */
void *jobs_keeper_run(void *jobs);

#endif
