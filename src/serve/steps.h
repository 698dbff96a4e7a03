/*
 * A request's way, declared once: the table of steps and the loop that walks it.
 *
 *   receive  reads the request and holds it to the limits of size
 *   match    finds the route; 404, 405, OPTIONS, and Larder's own pages
 *   pool     leads a download on to the processes that send them
 *   authenticate  knows who asks; 401, 403
 *   limit    says what counts the request, by @limit; 429 where that is known to be full
 *   bind     turns the request's texts into the statement's values; every fault in one 422
 *   limit-param  the same for what is counted by a parameter
 *   admit    takes what Redis counted; 429
 *   key      names the answer
 *   memory   looks into the process' own memory (L1)
 *   lookup   takes what Redis answered
 *   body     reads the body of a write and turns its fields into values
 *   kv       keeps or gives a value that Redis alone has
 *   file     files a write that a daemon makes later
 *   write    runs a write's statements, and strikes what they changed
 *   stream   sends a download while PostgreSQL makes it
 *   query    asks PostgreSQL
 *   compress makes the variants of a fresh answer
 *   store    gives it to Redis
 *   share    gives it to the memory, and to those who wait for it in this process
 *   suit     makes the variant of a client that refuses identity, where there is none
 *   precondition  304 and 412
 *   respond  writes the answer
 *   tell     sends the last of the events that told of a job
 *   after    counts and logs
 *
 * A step runs only in the part and the phases of its row and never knows which step follows it.
 */
#ifndef LARDER_SERVE_STEPS_H
#define LARDER_SERVE_STEPS_H

#include "serve/exchange.h"

typedef void step_function(struct exchange *exchange);

/*
 * A front walks READ for several requests, has all of them counted at once, walks SEEK, asks the
 * cache for all of them at once, and walks LOOK;
 * FILL and ANSWER are walked by it or by whoever has the time. A refresh in the background walks
 * FILL alone.
 */
enum part {
    PART_READ,
    PART_SEEK,
    PART_LOOK,
    PART_FILL,
    PART_ANSWER,
};

struct step {
    const char *name;
    step_function *run;
    unsigned phases; /* enum phase bits in which it runs */
    enum part part;
};

extern const struct step steps[];
extern const size_t step_count;

/* Walks the rows of one part, in their order. */
void steps_walk(struct exchange *exchange, enum part part);

/* Appends "receive;dur=0.01, match;dur=…" in milliseconds (Server-Timing) for the steps run. */
void steps_append_timing(const struct exchange *exchange, struct bytes *out);

/*
 * The exchange holds a kept answer from now on (HELD); false: not in a coding its client can have,
 * and nothing is changed.
 */
MUST_CHECK bool step_hold_kept(struct exchange *exchange, struct kept *kept);

/*
 * Takes the lease of the entry that the exchange asks for, though it may be fresh. False: another
 * has it, or has filled already, or Redis is away.
 */
MUST_CHECK bool step_take_lease(struct exchange *exchange);

/* The exchange holds the entry its look-up found though it may not be served otherwise. */
void step_hold_last(struct exchange *exchange);

step_function step_receive, step_match, step_bind, step_key, step_memory, step_lookup, step_query,
    step_compress, step_store, step_share, step_suit, step_precondition, step_respond, step_after;
step_function step_authenticate, step_limit, step_limit_param, step_admit, step_body, step_kv,
    step_file, step_write, step_stream, step_pool;

#endif
