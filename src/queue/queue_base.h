/*
 * What the parts of the queue share. Not for other folders, which know queue.h, file.h and look.h.
 */
#ifndef LARDER_QUEUE_QUEUE_BASE_H
#define LARDER_QUEUE_QUEUE_BASE_H

#include "base/quiet.h"
#include "queue/names.h"
#include "queue/queue.h"
#include "redis/breaker.h"
#include "redis/script.h"

struct queue {
    struct queue_settings settings;
    struct breaker breaker;
    struct redis_resolver *resolver;
    struct redis_script file, look, cancel;
    struct redis_script behind_add, behind_look, behind_take, behind_bury;
    struct quiet refusal_quiet;
};

enum queue_run {
    QUEUE_RUN_DONE,    /* replies came, error replies perhaps among them */
    QUEUE_RUN_AWAY,    /* Redis was not asked */
    QUEUE_RUN_UNKNOWN, /* it was asked, and may have done it */
};

/*
 * Runs scripts under the rules of the breaker, within *budget (µs, the time it takes is taken off
 * it). With QUEUE_RUN_DONE the replies are the caller's.
 */
enum queue_run queue_run(struct queue *queue, struct redis_connection *connection,
                         const struct redis_script_call *calls, size_t count, int64_t *budget,
                         struct redis_reply **ret_replies, struct error *ret_event);

/* What scripts do, and how it is done without them where nothing has gone wrong yet. */
struct queue_work {
    const struct redis_script_call *calls;
    size_t call_count;
    const struct redis_command
        *commands; /* never sent twice; the scripts then tell what was done */
    size_t command_count;
};

/*
 * The same as queue_run, with the commands first, and the scripts where their replies did not come.
 * `*ret_plain`: the replies are those of the commands.
 */
enum queue_run queue_run_plain(struct queue *queue, struct redis_connection *connection,
                               const struct queue_work *work, int64_t *budget,
                               struct redis_reply **ret_replies, bool *ret_plain,
                               struct error *ret_event);

/* Redis refuses to keep what it is given: worth a line of log now and then. */
void queue_refused(struct queue *queue, struct span why, struct error *ret_event);

extern const char queue_file_text[], queue_look_text[], queue_cancel_text[];
extern const char queue_behind_add_text[], queue_behind_look_text[], queue_behind_take_text[],
    queue_behind_bury_text[];

#endif
