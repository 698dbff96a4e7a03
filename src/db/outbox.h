/*
 * The outbox: the tags of what transactions changed, written by the triggers of `larder install` in
 * the same transaction, taken from here and deleted once they are bumped.
 *
 * A batch is a transaction left open: its rows are locked and deleted, and it is committed only
 * when the caller has bumped the tags. Whatever happens before the commit, the rows come back.
 * Several larderds take different rows (FOR UPDATE SKIP LOCKED).
 *
 * larder.asleep is a sequence used as a flag outside of transactions: while its value is 2 the
 * triggers notify the channel `larder`, while it is 1 they don't.
 *
 * Where PostgreSQL has Larder's module, its triggers leave tags in a ring in memory in place of
 * rows (db/take.h). A batch holds some of both: what it took of the ring is its own until its
 * transaction ends, and is given back as the rows are. These tags have no numbers: they say nothing
 * of the position, nor it of them. The ring has a flag of its own, that goes with larder.asleep.
 *
 * The rows of responders' own writes stand in lanes of their own: the responder strikes their tags
 * and deletes them (larder.bumped), so they are only taken when they were left.
 */
#ifndef LARDER_DB_OUTBOX_H
#define LARDER_DB_OUTBOX_H

#include "db/connection.h"
#include "db/position.h"

/* All zeros: there is none. */
struct db_outbox_ring {
    int64_t taken; /* tags, some of them the same */
    bool more;     /* there are some that nobody has, or it was not asked for yet */
    bool coming;   /* transactions are about to commit, or have, that put some there next */
    bool held;     /* peers have some */
    bool alone;    /* the outbox was not looked at */
};

struct db_outbox_batch {
    struct db_result *result; /* the tags lie in here */
    size_t tag_count;         /* of the outbox and of the ring: each has a tag once */
    int64_t row_count;        /* taken of the outbox */
    bool more;                /* … of which the limit was reached: there may be more */
    bool shared;              /* rows were skipped because a peer has them */
    bool marked;              /* the marker is there: the outbox was not emptied by a crash */
    struct db_outbox_ring ring;
    bool lost;                    /* everything is to be struck */
    bool some_notify, all_notify; /* the flags: what larder.asleep and the ring ask writers for */
    uint64_t oldest_running;      /* every transaction with a lower number has ended */
};

/*
 * Takes up to `limit` rows (of those pending and of those new, each) from `position` on, and tags
 * of the ring; of the ring alone if so wished, where there is one. `timeout` µs bound the
 * statement. A missing schema is DB_FAILURE_STATEMENT with db_outbox_missing. After false no
 * transaction is open.
 */
MUST_CHECK bool db_outbox_take(struct db_connection *connection, const struct position *position,
                               bool ring_alone, int limit, int64_t timeout,
                               struct db_outbox_batch *ret_batch, struct db_failure *failure);

/*
 * The same for what responders wrote (their lanes of the outbox) and should have struck: what
 * transactions left that had ended when `snapshot`, a text of db_outbox_snapshot, was taken.
 */
MUST_CHECK bool db_outbox_take_left(struct db_connection *connection,
                                    const struct position *position, struct span snapshot,
                                    int limit, int64_t timeout, struct db_outbox_batch *ret_batch,
                                    struct db_failure *failure);

/* Replaces *ret_snapshot by the current snapshot's text. */
MUST_CHECK bool db_outbox_snapshot(struct db_connection *connection, int64_t timeout,
                                   struct bytes *ret_snapshot, struct db_failure *failure);

/* Is it that "larder install" was not run? */
bool db_outbox_missing(const struct db_failure *failure);

/* The tags, as many as the batch has: they live as long as it does. */
void db_outbox_tags(const struct db_outbox_batch *batch, struct span *ret_tags);

/*
 * The tags are bumped: commits and moves `position` on. Where the marker was missing it is set. The
 * batch is freed either way; after false its rows may come again.
 */
MUST_CHECK bool db_outbox_done(struct db_connection *connection, struct db_outbox_batch *batch,
                               int64_t timeout, struct position *position,
                               struct db_failure *failure);

/* The tags are not bumped: the rows come back. The batch is freed. */
void db_outbox_give_back(struct db_connection *connection, struct db_outbox_batch *batch,
                         int64_t timeout);

/*
 * Sets the flags to "notify". Transactions that wrote before may have seen it otherwise and will
 * commit without a word: polls must go on until oldest_running has reached *ret_until, and nothing
 * is coming into the ring.
 */
MUST_CHECK bool db_outbox_lie_down(struct db_connection *connection, int64_t timeout,
                                   uint64_t *ret_until, struct db_failure *failure);

/* Sets the flags to "polling, don't notify". */
MUST_CHECK bool db_outbox_get_up(struct db_connection *connection, int64_t timeout,
                                 struct db_failure *failure);

/* Wakes every listener; for one that ends and leaves the rest to its peers. */
MUST_CHECK bool db_outbox_notify(struct db_connection *connection, int64_t timeout,
                                 struct db_failure *failure);

/* From now on notifications arrive on this connection. */
MUST_CHECK bool db_outbox_listen(struct db_connection *connection, int64_t timeout,
                                 struct db_failure *failure);

/* Takes the notifications that have arrived, without waiting. */
MUST_CHECK bool db_outbox_notified(struct db_connection *connection, bool *ret_notified,
                                   struct db_failure *failure);

/* For poll(2). */
int db_outbox_fd(const struct db_connection *connection);

/*
 * Tags of what depends on definitions (views, functions) that changed since the last time, in a
 * transaction left open as a batch's is: db_outbox_done commits it. Without the function of
 * `larder install` there are none.
 *
 * The answer takes PostgreSQL ten milliseconds and more, so it is asked for and taken apart. In
 * between the connection is used for nothing else. `timeout` µs bound the statement. *ret_settings:
 * the look sees the settings of roles and databases, which some hosts keep from everybody.
 */
MUST_CHECK bool db_outbox_definitions_ask(struct db_connection *connection, int64_t timeout,
                                          bool *ret_settings, struct db_failure *failure);

/*
 * Asks in the same way for what db_outbox_take gives, of transactions with numbers from `from` to
 * below `until`. `more` and `shared` speak of these.
 */
MUST_CHECK bool db_outbox_between_ask(struct db_connection *connection, uint64_t from,
                                      uint64_t until, int limit, int64_t timeout,
                                      struct db_failure *failure);

/* Is the answer there, or the connection lost? To be asked when there is something to be read. */
bool db_outbox_answer_come(struct db_connection *connection);

/* Takes the answer, for which it waits until the deadline (monotonic µs) at most. After false no
 * transaction is open. */
MUST_CHECK bool db_outbox_answer_take(struct db_connection *connection, int64_t deadline,
                                      struct db_outbox_batch *ret_batch,
                                      struct db_failure *failure);

/* What is kept for whoever may come again. */
enum db_kept {
    DB_KEPT_ANSWERS, /* of requests with an Idempotency-Key */
    DB_KEPT_JOBS,    /* the records of jobs that were done */
    DB_KEPT_COUNT,
};

/*
 * Forgets some of them that are older than `age` µs; *ret_count is how many. Where the schema has
 * no such thing, or the role may not: none.
 */
MUST_CHECK bool db_outbox_forget(struct db_connection *connection, enum db_kept kept, int64_t age,
                                 int64_t timeout, int64_t *ret_count, struct db_failure *failure);

#endif
