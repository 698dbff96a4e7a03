#include "serve/queue_event.h"

#include <pthread.h>
#include <stdlib.h>

#include "cache/entry.h"
#include "serve/queue_text.h"

struct queue_event {
    struct queue_event *next;
    size_t held; /* by how many */
    char tag[ENTRY_TAG_MAX + 1];
    struct bytes text;
};

struct queue_events {
    pthread_mutex_t lock;
    size_t most, size; /* bytes */
    struct queue_event *first;
};

struct queue_events *queue_events_new(size_t most)
{
    struct queue_events *events = calloc(1, sizeof *events);
    if (!events)
        return NULL;
    events->most = most;
    pthread_mutex_init(&events->lock, NULL);
    return events;
}

void queue_events_free(struct queue_events *events)
{
    if (!events)
        return;
    pthread_mutex_destroy(&events->lock);
    free(events);
}

static void event_free(struct queue_event *event)
{
    bytes_free(&event->text);
    free(event);
}

static struct queue_event *event_new(enum queue_state state, const char *tag, struct span text)
{
    struct queue_event *event = calloc(1, sizeof *event);
    if (!event)
        return NULL;
    memcpy(event->tag, tag, strlen(tag) + 1);
    queue_text_event(state, tag, text, &event->text);
    if (!event->text.failed)
        return event;
    event_free(event);
    return NULL;
}

/* Locked. */
static struct queue_event *find(const struct queue_events *events, const char *tag)
{
    struct queue_event *event = events->first;
    while (event && strcmp(event->tag, tag) != 0)
        event = event->next;
    return event;
}

/* Locked; null: there are too many, or no memory. */
static struct queue_event *add(struct queue_events *events, enum queue_state state, const char *tag,
                               struct span text)
{
    if (events->size && events->size + text.size > events->most)
        return NULL;
    struct queue_event *event = event_new(state, tag, text);
    if (!event)
        return NULL;
    events->size += event->text.size;
    event->next = events->first;
    events->first = event;
    return event;
}

struct queue_event *queue_event_take(struct queue_events *events, enum queue_state state,
                                     const char *tag, struct span text)
{
    pthread_mutex_lock(&events->lock);
    struct queue_event *event = find(events, tag);
    if (!event)
        event = add(events, state, tag, text);
    if (event)
        event->held++;
    pthread_mutex_unlock(&events->lock);
    return event;
}

struct span queue_event_text(const struct queue_event *event)
{
    return bytes_span(&event->text);
}

/* Locked. */
static void drop(struct queue_events *events, struct queue_event *event)
{
    struct queue_event **place = &events->first;
    while (*place != event)
        place = &(*place)->next;
    *place = event->next;
    events->size -= event->text.size;
    event_free(event);
}

void queue_event_give_back(struct queue_events *events, struct queue_event *event)
{
    if (!event)
        return;
    pthread_mutex_lock(&events->lock);
    if (--event->held == 0)
        drop(events, event);
    pthread_mutex_unlock(&events->lock);
}
