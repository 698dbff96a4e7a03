/*
 * Bumps: what makes cached answers old.
 *
 * A bump draws a number from the logical clock in Redis and writes it under each tag. The clock is
 * a hybrid of its previous value and Redis' own time (µs since 1970), so it never runs backwards:
 * an entry made before the bump has a lower clock than its tags have now, one made after it none
 * lower. Numbers stay below 2^53, which Lua's doubles hold exactly.
 *
 * In Redis (`P` is the prefix): the hash `P:c` holds the clock `n`, the last bump's number `b`,
 * that of the last one of definitions `d`, and `r`, which server the clocks were last proved on;
 * `P:t:<tag>` a tag's number; `P:j` the journal of recent bumps (a stream, ID `<number>-0`, in
 * the field `t` the tags, a line each); the channel `P:f` the feed, in a database other than 0
 * `P:f:<database>`, since all databases of a server share its channels. A message is `<previous
 * number>\n<number>\n<tag>\n…`, or `<number>` alone for a heartbeat.
 *
 * A full Redis (maxmemory) does not refuse a bump: it replaces values and bounds the journal.
 */
#ifndef LARDER_CACHE_BUMP_H
#define LARDER_CACHE_BUMP_H

#include "cache/clocks.h"
#include "redis/connection.h"

/* The tag that every entry carries. */
#define CACHE_TAG_ALL "*"

/*
 * Struck when what tables, views, functions and triggers are has changed: whoever knows what routes
 * read has to ask again.
 */
#define CACHE_TAG_DEFINITIONS "larder:definitions"

/* A key or channel that is named by the prefix alone. */
#define CACHE_NAME_SIZE 80

/* The channel of the feed in this connection's database. */
void cache_feed_name(const struct redis_connection *connection, const char *prefix,
                     char ret_name[static CACHE_NAME_SIZE]);

/* The most tags one script run strikes; more are several. */
#define CACHE_BUMP_BATCH 500

/*
 * Bumps the tags until `deadline` (monotonic µs); *ret_clock is the highest number drawn (0 for no
 * tags). After an error some of the tags may have been bumped: doing it again is harmless. Errors
 * as redis_call's; what Redis refused (a replica, no replicas to write to) is ERROR_UNAVAILABLE.
 */
MUST_CHECK bool cache_bump(struct redis_connection *connection, const char *prefix,
                           const struct span *tags, size_t count, int64_t deadline,
                           int64_t *ret_clock, struct error *error);

/*
 * Reads the clock and the last bump's number (0: none), of a server that takes writes: every bump
 * so far is at most *ret_clock, every later one follows *ret_bump. Errors as redis_call's.
 */
MUST_CHECK bool cache_clock_read(struct redis_connection *connection, const char *prefix,
                                 int64_t deadline, uint64_t *ret_clock, uint64_t *ret_bump,
                                 struct error *error);

/* What a bump met. */
struct cache_bumped {
    int64_t previous; /* the number of the last bump before it, by whomever */
    int64_t clock;    /* the highest number drawn */
    /* That of the last one of definitions, this one included; 0: none. */
    int64_t definitions;
    bool alone; /* nobody else's bump came between its batches */
};

/* cache_bump, telling more. There must be a tag. */
MUST_CHECK bool cache_bump_telling(struct redis_connection *connection, const char *prefix,
                                   const struct span *tags, size_t count, int64_t deadline,
                                   struct cache_bumped *ret_bumped, struct error *error);

/*
 * Tells the host of a bump of these tags, which it may hear of before it hears of others. With its
 * number comes that of the last one of definitions: answers that are made from then on, under the
 * newest number known, would not be struck by it.
 */
void cache_bumped_tell(const struct cache_bumped *bumped, struct clocks *clocks,
                       const uint64_t *hashes, size_t count);

/* Which Redis this is, compared with the one on which the clocks were last proved. */
struct cache_server {
    char run_id[48];   /* Redis': another after each start, and on each replica */
    bool is_replica;   /* it takes no bumps */
    bool is_the_known; /* cache_server_settle said so of this very run_id */
    int64_t last;      /* the last bump's number, 0: it knows of none */
};

/* Asks. Errors as redis_call's. */
MUST_CHECK bool cache_server_read(struct redis_connection *connection, const char *prefix,
                                  int64_t deadline, struct cache_server *ret_server,
                                  struct error *error);

/*
 * Sets the clock `by` µs ahead of what it is, of Redis' time, and of the number `known`: on a
 * server that may have forgotten the last numbers drawn, so that new ones exceed them all the same.
 */
MUST_CHECK bool cache_clock_jump(struct redis_connection *connection, const char *prefix,
                                 int64_t by, uint64_t known, int64_t deadline, struct error *error);

/* Notes that the clocks are proved on this server: what was lost was bumped again. */
MUST_CHECK bool cache_server_settle(struct redis_connection *connection, const char *prefix,
                                    const struct cache_server *server, int64_t deadline,
                                    struct error *error);

/*
 * The heartbeat: changes are being heard of. It lasts `lifetime` µs in Redis and is published with
 * the last bump's number; `told` is the number of a bump that was made on it. False in *ret_known:
 * the server has forgotten that bump or everything, or is another one than `server`; nothing was
 * done.
 */
MUST_CHECK bool cache_beat(struct redis_connection *connection, const char *prefix,
                           const struct cache_server *server, int64_t lifetime, int64_t told,
                           int64_t deadline, bool *ret_known, struct error *error);

#endif
