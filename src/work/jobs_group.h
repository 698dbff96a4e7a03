/*
 * Jobs in one transaction, with the record that they ran. Not for others than the workers.
 */
#ifndef LARDER_WORK_JOBS_GROUP_H
#define LARDER_WORK_JOBS_GROUP_H

#include "work/jobs_worker.h"

/* All zeros but for the worker, the tasks and their count. */
struct jobs_group {
    struct jobs_worker *worker;
    struct jobs_task *const *tasks;
    size_t count;
    size_t unfit; /* whose answer is none that is kept; `count`: of none */
    bool begun;   /* after a failure: it was learnt what was done before, and none is a peer's */
    char *keys, *records;
    const char *done_values[2];
};

/*
 * Runs those that are not to be cancelled, and were not done before. After true each of
 * these has its record, and the cancelled have none. On false nothing was committed, as
 * db_batch_run says; a job that would be answered with an error is `unfit`, and failed.
 */
MUST_CHECK bool jobs_group_run(struct jobs_group *group, size_t *ret_failed,
                               struct db_failure *failure);

/* The answer out of a record; the spans point into it. False: it is none. */
MUST_CHECK bool jobs_record_read(struct span record, struct queue_end *ret_answer);

#endif
