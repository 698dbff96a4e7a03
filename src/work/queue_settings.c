#include "work/queue_settings.h"

#include "base/log.h"
#include "queue/settings.h"

bool queue_settings_tell(const struct queue *queue, const struct options *options,
                         struct redis_connection *connection, unsigned *connects, int64_t deadline,
                         struct error *error)
{
    struct queue_complaints complaints;
    if (redis_connects(connection) == *connects)
        return true;
    if (!queue_settings_check(connection, deadline, &complaints, error) ||
        !queue_apart_check(queue, options, connection, deadline, &complaints, error))
        return false;
    *connects = redis_connects(connection);
    for (size_t i = 0; i < complaints.count; i++)
        log_event(LOG_WARNING, "queue", "LARDER_QUEUE: %s", complaints.texts[i]);
    return true;
}
