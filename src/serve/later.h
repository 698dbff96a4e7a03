/*
 * A write that is made later than it was asked for: what a queued job says becomes statements
 * again, and what came of these the answer that the request would have had.
 */
#ifndef LARDER_SERVE_LATER_H
#define LARDER_SERVE_LATER_H

#include "db/batch.h"
#include "serve/exchange.h"

/* What was filed. */
struct later_filed {
    struct span route, document;
    bool signed_in;
    int64_t timeout; /* µs for one try */
};

/* Points into itself and the desk's arena: not to be copied. */
struct later {
    struct exchange exchange; /* the request that it stands for, as far as an answer needs one */
    struct db_identity identity;
    struct db_batch_item item; /* with the pool's time for each statement */
};

/*
 * Makes the write for the routes as they are now; the reference to them is the caller's, and has to
 * outlive it. ERROR_INVALID: it can't be made, and the text says why to whoever filed it.
 * ERROR_UNAVAILABLE: it can't be made yet, for PostgreSQL has not told of the route.
 */
MUST_CHECK bool later_make(struct live *live, struct desk *desk, const struct later_filed *filed,
                           struct later *ret_later, struct error *error);

/* Settles the exchange with the answer that the last statement's rows make; they are lent. */
void later_answer(struct later *later, const struct db_result *rows);

/* The same after a failure. True: the failure may pass, and the write may be tried again. */
bool later_failed(struct later *later, const struct db_failure *failure);

/* The answer's Location; empty: none. */
struct span later_location(const struct later *later);

#endif
