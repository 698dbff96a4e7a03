/*
 * The feed of bumps, heard by a thread of each responder: what keeps its memory coherent.
 *
 * Every bump heard is written to the host's tag clocks. While messages follow each other without a
 * gap the feed is coherent, and an answer in memory is fresh when its clock is at least
 * feed_floor and clocks_fresh says so. A gap or a lost line empties the memory and raises the
 * floor out of reach; heard again, the floor is the logical clock of that moment, so whatever was
 * missed is below it. A lost line is noticed within a second; a process that was itself stopped
 * for a while knows it by feed_beats, without which no answer older than the guard TTL is fresh.
 */
#ifndef LARDER_SERVE_FEED_H
#define LARDER_SERVE_FEED_H

#include "cache/clocks.h"
#include "cache/memory.h"
#include "cache/store.h"

struct feed;

struct feed_settings {
    struct cache_store *store; /* whose Redis */
    const char *prefix;        /* of the keys and the channel */
    struct clocks *clocks;
    struct memory *memory; /* null: none to be emptied */
    struct counters *counters;
    int64_t timeout; /* µs for a call to Redis */
    int64_t guard;   /* µs: LARDER_GUARD_TTL */
};

/* Starts the thread; Redis need not be up. All the settings name must outlive the feed. */
MUST_CHECK bool feed_start(const struct feed_settings *settings, struct feed **ret_feed,
                           struct error *error);

/* Ends the thread: at once, or when the call to Redis it is in has ended. Null is allowed. */
void feed_stop(struct feed *feed);

/* The least clock of a fresh answer in memory; UINT64_MAX while not coherent, or for null. */
uint64_t feed_floor(const struct feed *feed);

/* Was larderd's heartbeat heard in the last half guard TTL? `now` is monotonic, µs. Null: never. */
bool feed_beats(const struct feed *feed, int64_t now);

#endif
