/*
 * What a client is told of his job, as JSON and as server-sent events. Pure.
 */
#ifndef LARDER_SERVE_QUEUE_TEXT_H
#define LARDER_SERVE_QUEUE_TEXT_H

#include "base/bytes.h"
#include "queue/look.h"

/*
 * Appends
 *   {"id":"…","status":"running","progress":{"done":1,"of":2},"filed":"…","began":"…","ended":null,
 *    "tries":1}
 * and behind "tries" what there is of: "next" (the time of the next try), "cancelling":true,
 * "location", "result" (of a job that is done: the body, null where there is none), "problem" (of
 * one that failed). Times are ISO 8601 in UTC.
 */
void queue_text_write(const char *id, const struct queue_job *job, struct bytes *out);

/*
 * Appends an event (HTML, section 9.2.6) with the state as its type, `tag` as its id and `text` as
 * its data, which may have several lines.
 */
void queue_text_event(enum queue_state state, const char *tag, struct span text, struct bytes *out);

#endif
