/*
 * Writes that wait to be made in batches (@behind), in the queue's Redis: a stream a route,
 * `P:q:b:<digest of its name>` (P the prefix), the oldest write first.
 *
 * An entry's number, "<milliseconds>-<sequence>", grows from each to the next. How far a stream is
 * made is known to PostgreSQL alone; what is made is taken from the stream afterwards, so an entry
 * may be found there again. Numbers mean something only beside the queue's name (`P:q:i`), which a
 * Redis that has forgotten everything gets anew.
 *
 * Every call is one round trip with a deadline. An object is constant once made: all threads may
 * use it, each with a connection of its own.
 */
#ifndef LARDER_QUEUE_BEHIND_H
#define LARDER_QUEUE_BEHIND_H

#include "redis/connection.h"

struct queue_behind;

/* `prefix` must outlive it. Null: memory. */
struct queue_behind *queue_behind_new(const char *prefix) MUST_CHECK;

/* Null is allowed. */
void queue_behind_free(struct queue_behind *behind);

/* A stream's name, terminated. */
#define QUEUE_BEHIND_NAME_SIZE 96

/* ERROR_INTERNAL only if libcrypto refuses. */
MUST_CHECK bool queue_behind_name(const struct queue_behind *behind, const char *route,
                                  char ret_name[static QUEUE_BEHIND_NAME_SIZE],
                                  struct error *error);

/* A write to be queued. */
struct queue_behind_write {
    const char *stream;
    struct span route, document, owner;
    int64_t bound; /* so many may wait */
    /* Of a request that may come again: what names it and what it says, each 32 bytes; data null:
     * it has no Idempotency-Key. It is known for `known` µs. */
    struct span key, body;
    int64_t known;
};

enum queue_behind_outcome {
    QUEUE_BEHIND_ADDED,
    QUEUE_BEHIND_AGAIN, /* it was queued before, by its key */
    QUEUE_BEHIND_OTHER, /* the key was used with another body */
    QUEUE_BEHIND_FULL,  /* as many wait as may; nothing was done */
};

/*
 * Queues it. After ERROR_TIMEOUT and ERROR_UNAVAILABLE it may have been queued, or not. Also
 * ERROR_UNAVAILABLE: Redis refuses (full, a replica), and it is not queued.
 */
MUST_CHECK bool queue_behind_add(const struct queue_behind *behind,
                                 struct redis_connection *connection,
                                 const struct queue_behind_write *write, int64_t deadline,
                                 enum queue_behind_outcome *ret_outcome, struct error *error);

/* How a stream stands. */
struct queue_behind_state {
    int64_t waiting; /* entries */
    int64_t age;     /* µs, of the oldest by Redis' clock; 0: none waits */
};

/* So many streams a call at most. */
#define QUEUE_BEHIND_STREAMS 500

MUST_CHECK bool queue_behind_look(const struct queue_behind *behind,
                                  struct redis_connection *connection, const char *const *streams,
                                  size_t count, int64_t deadline,
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

MUST_CHECK bool queue_behind_take(const struct queue_behind *behind,
                                  struct redis_connection *connection, const char *stream,
                                  size_t most, int64_t deadline,
                                  struct queue_behind_taken *ret_taken, struct error *error);

void queue_behind_taken_free(struct queue_behind_taken *taken);

/* All up to this number are made: the entries go. */
MUST_CHECK bool queue_behind_trim(struct redis_connection *connection, const char *stream,
                                  const struct queue_behind_number *last, int64_t deadline,
                                  struct error *error);

#endif
