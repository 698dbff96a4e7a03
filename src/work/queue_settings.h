/*
 * How the queue's Redis is set up, told in the log: at the start, and whenever the server may be
 * another one or was started anew.
 */
#ifndef LARDER_WORK_QUEUE_SETTINGS_H
#define LARDER_WORK_QUEUE_SETTINGS_H

#include "base/options.h"
#include "queue/queue.h"

/*
 * Asks unless *connects, zero at first, is how often the connection was opened: then that was done.
 * False: Redis could not be asked.
 */
MUST_CHECK bool queue_settings_tell(const struct queue *queue, const struct options *options,
                                    struct redis_connection *connection, unsigned *connects,
                                    int64_t deadline, struct error *error);

#endif
