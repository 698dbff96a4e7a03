/*
 * Writes that wait to be made in batches (@behind), in the queue's Redis: a stream a route,
 * `P:q:b:<digest of its name>` (P the prefix), the oldest write first.
 *
 * An entry's number, "<milliseconds>-<sequence>", grows from each to the next. How far a stream is
 * made is known to PostgreSQL alone; what is made is taken from the stream afterwards, so an entry
 * may be found there again. Numbers mean something only beside the queue's name (`P:q:i`), which a
 * Redis that has forgotten everything gets anew.
 *
 * Every call is one round trip. Who files writes does so under the queue's own rules; what the
 * daemon does has deadlines, and no breaker.
 */
#ifndef LARDER_QUEUE_BEHIND_H
#define LARDER_QUEUE_BEHIND_H

#include "queue/file.h"
#include "queue/names.h"
#include "queue/queue.h"

/* The name of a route's stream. */
MUST_CHECK bool queue_behind_name(const struct queue *queue, const char *route,
                                  char ret_name[static QUEUE_NAME_SIZE], struct error *error);

enum queue_behind_outcome {
    QUEUE_BEHIND_ADDED,
    QUEUE_BEHIND_AGAIN,   /* it was added before, by its Idempotency-Key */
    QUEUE_BEHIND_OTHER,   /* the Idempotency-Key was used for another request */
    QUEUE_BEHIND_BOUND,   /* as many wait as may */
    QUEUE_BEHIND_ROOM,    /* Redis has no room */
    QUEUE_BEHIND_AWAY,    /* Redis is away or takes no writes */
    QUEUE_BEHIND_UNKNOWN, /* Redis did not answer: it may have it */
};

/* A write to be added; all texts are the caller's. */
struct queue_behind_write {
    struct span route, owner, document;
    int64_t bound;        /* so many may wait */
    const char *once;     /* a digest of who sent which Idempotency-Key; null: none … */
    const char *once_for; /* … and of what the request says */
    enum queue_behind_outcome outcome;
};

/*
 * Adds up to QUEUE_BATCH writes in one round trip, in their order, within *budget (µs; the time it
 * takes is taken off it): each wholly, or, but for QUEUE_BEHIND_UNKNOWN, not at all, as its outcome
 * says. An event, when its text is not empty after the call, is worth a line of log.
 */
void queue_behind_add(struct queue *queue, struct redis_connection *connection,
                      struct queue_behind_write *const *writes, size_t count, int64_t *budget,
                      struct error *ret_event);

/* How a stream stands. */
struct queue_behind_state {
    int64_t waiting; /* entries */
    int64_t age;     /* µs, of the oldest by Redis' clock; 0: none waits */
};

/* So many streams a call at most. */
#define QUEUE_BEHIND_STREAMS 500

MUST_CHECK bool queue_behind_look(const struct queue *queue, struct redis_connection *connection,
                                  const char *const *streams, size_t count, int64_t deadline,
                                  struct queue_behind_state *ret_states, struct error *error);

/* A place in a stream; all zeros: before its first entry. */
struct queue_behind_number {
    uint64_t milliseconds, sequence;
};

#define QUEUE_BEHIND_NUMBER_SIZE 42

/* False: it is none. */
MUST_CHECK bool queue_behind_number_read(struct span text, struct queue_behind_number *ret_number);
void queue_behind_number_write(const struct queue_behind_number *number,
                               char ret_text[static QUEUE_BEHIND_NUMBER_SIZE]);

/* Below, at or above 0, as `left` stands before, at or behind `right`. */
int queue_behind_number_compare(const struct queue_behind_number *left,
                                const struct queue_behind_number *right);

struct queue_behind_entry {
    struct queue_behind_number number;
    struct span route, document, owner; /* empty where the entry lacks it */
};

/* The oldest entries of a stream; they lie in the reply. */
struct queue_behind_taken {
    struct redis_reply *reply; /* freed by queue_behind_taken_free */
    struct span queue;         /* the queue's name */
    struct queue_behind_entry *entries;
    size_t count;
};

MUST_CHECK bool queue_behind_take(const struct queue *queue, struct redis_connection *connection,
                                  const char *stream, size_t most, int64_t deadline,
                                  struct queue_behind_taken *ret_taken, struct error *error);

void queue_behind_taken_free(struct queue_behind_taken *taken);

/* A write that can't be made. */
struct queue_behind_dead {
    const char *stream;
    const struct queue_behind_entry *entry;
    const char *version; /* of the route's file */
    size_t statements;   /* that it runs */
    int64_t timeout;     /* µs for one try */
    int64_t now;         /* wall clock µs */
    int64_t kept;        /* µs among the dead letters */
};

/*
 * Puts it with the dead letters, as a job that failed with this problem (a problem+json); if it was
 * there already nothing is done. *ret_id is that job's. It is nobody's: its id can be told from the
 * entry, so whoever queued it can't ask for it.
 */
MUST_CHECK bool queue_behind_bury(const struct queue *queue, struct redis_connection *connection,
                                  const struct queue_behind_dead *dead, struct span problem,
                                  int64_t deadline, char ret_id[static QUEUE_ID_SIZE],
                                  struct error *error);

/* All up to this number are made: the entries go. */
MUST_CHECK bool queue_behind_trim(struct redis_connection *connection, const char *stream,
                                  const struct queue_behind_number *last, int64_t deadline,
                                  struct error *error);

#endif
