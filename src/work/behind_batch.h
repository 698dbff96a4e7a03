/*
 * One batch of a route's queued writes (@behind): the oldest are taken from its stream, made in one
 * transaction that also moves the stream's position in PostgreSQL, and then removed.
 *
 * Whatever ends in between, here or there, the position tells what was made: nothing is made twice,
 * nothing is lost, and the order is kept. A write that can't be made even alone becomes a dead
 * letter, and those behind it go on. While PostgreSQL or Redis is away all of them wait.
 */
#ifndef LARDER_WORK_BEHIND_BATCH_H
#define LARDER_WORK_BEHIND_BATCH_H

#include "base/counters.h"
#include "base/options.h"
#include "db/pool.h"
#include "queue/behind.h"
#include "serve/live.h"

/* What all batches are made with. */
struct behind_tools {
    const struct options *options;
    struct counters *counters;
    const struct queue *queue;
    struct redis_connection *redis;
    struct db_pool *pool;
};

/* A route's stream, as it is from one batch to the next. */
struct behind_stream {
    struct live *live; /* of which `served` is one */
    const struct served *served;
    char name[QUEUE_NAME_SIZE];
    /* A write that failed alone though it may not be at fault: how often, and since when (µs). */
    struct queue_behind_number doubtful;
    unsigned doubtful_tries;
    int64_t doubtful_since;
};

enum behind_outcome {
    BEHIND_MADE,
    BEHIND_PEER,  /* another daemon is at this stream */
    BEHIND_LATER, /* something is away, as *error says */
};

/* Makes a batch, if anything waits. */
enum behind_outcome behind_batch(const struct behind_tools *tools, struct behind_stream *stream,
                                 struct error *ret_error);

#endif
