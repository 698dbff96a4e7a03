/*
 * A batch: what several users asked for, in one transaction of three round trips, which commits or
 * leaves nothing.
 *
 * The first round opens it and learns which of the items are still to be done; the second runs
 * these, in their order, each as its own identity; the third leaves their tags in the outbox,
 * records what became of them, and commits. So items and record can't part: whoever comes with the
 * same items again, after whatever was lost in between, finds them done.
 *
 * Items share the transaction's clock, and settings that a statement makes for its transaction. A
 * failed item takes the others with it: the caller leaves it out, or runs each alone.
 */
#ifndef LARDER_DB_BATCH_H
#define LARDER_DB_BATCH_H

#include "db/stop.h"
#include "db/write.h"

struct db_batch_item {
    const struct db_statement *statements; /* the last one's rows are the item's result */
    size_t count;
    const struct db_identity *identity; /* null: the session's own role, no claims */
    const struct span *tags;            /* left in the outbox beside what the triggers leave */
    size_t tag_count;
};

struct db_batch {
    const struct db_batch_item *items;
    size_t count;
    int64_t timeout;          /* µs for all of it; each statement has its own besides */
    struct db_statement open; /* first in the transaction; without SQL: none */
    /*
     * Given the rows of `open`, or null, says which items are to be run: ret_wanted has `count`
     * places, all true. Null: all. False: memory.
     */
    bool (*choose)(void *context, const struct db_result *rows, bool *ret_wanted);
    /*
     * Given a result per item, null for those not run, makes the last statement before the COMMIT;
     * one without SQL: none. What it points to must last until db_batch_run returns. Null: none.
     * False: memory.
     */
    bool (*close)(void *context, struct db_result *const *results, struct db_statement *ret_close);
    /*
     * Given, after the COMMIT, what the transaction struck, and the tags of the items that ran: it
     * bumps both, and then tells db_pool_struck. Not called where there are none, or where the
     * session can't ask for them. Null: larderd's outbox has them.
     */
    void (*strike)(void *context, const struct db_struck *struck, const struct span *own,
                   size_t own_count);
    /*
     * Told, as PostgreSQL says so, of an item with several statements that so many of them are
     * made; nothing is committed yet. Costs a word of the network for each. Null: nobody asks.
     */
    void (*made)(void *context, size_t item, size_t statements);
    void *context;
    struct db_stop *stop; /* may be fired meanwhile; null: nobody does */
};

/*
 * Runs the batch as the pool's own role, which must be let at the schema `larder`
 * (DB_FAILURE_UNINSTALLED). It is run again by itself after a serialisation failure, a deadlock, or
 * a connection lost before the COMMIT, a bounded number of times; choose and close are called
 * anew then.
 *
 * After true it outlives a crash of the server, also where synchronous_commit is off.
 *
 * On false nothing was committed, except after DB_FAILURE_UNKNOWN: then `open` can tell.
 * *ret_failed_item, set on false: which item the failure is about; `count`: none alone.
 * DB_FAILURE_BUSY: also, `open` waited in vain for another transaction.
 */
MUST_CHECK bool db_batch_run(struct db_pool *pool, const struct db_batch *batch,
                             size_t *ret_failed_item, struct db_failure *failure);

#endif
