/*
 * The text of an event, one copy for all who are told of it at the same time.
 *
 * What all of them together hold is bounded, so that readers who take nothing can't hold more.
 */
#ifndef LARDER_SERVE_QUEUE_EVENT_H
#define LARDER_SERVE_QUEUE_EVENT_H

#include "base/span.h"
#include "queue/names.h"

struct queue_events;

/* `most`: bytes that all events may have at a time, but that there may always be one. */
struct queue_events *queue_events_new(size_t most) MUST_CHECK;

/* When no event is left. Null is allowed. */
void queue_events_free(struct queue_events *events);

struct queue_event;

/*
 * The event of a job's state and text, which has this tag and nothing else has it. Null: memory, or
 * there are too many.
 */
struct queue_event *queue_event_take(struct queue_events *events, enum queue_state state,
                                     const char *tag, struct span text) MUST_CHECK;

struct span queue_event_text(const struct queue_event *event);

/* Null is allowed. */
void queue_event_give_back(struct queue_events *events, struct queue_event *event);

#endif
