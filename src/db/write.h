/*
 * A write: one transaction of a route's statements, which commits or leaves nothing.
 *
 * The transaction is run again, whole, after a serialisation failure or a deadlock, a bounded
 * number of times; never when it is not known whether it committed.
 */
#ifndef LARDER_DB_WRITE_H
#define LARDER_DB_WRITE_H

#include "db/pool.h"

/* As whom the statements run: set for the transaction alone, bound and never spliced. */
struct db_identity {
    const char *role;   /* SET LOCAL ROLE; null: the session's own */
    const char *claims; /* request.jwt.claims, a JSON text; null: not set */
};

/* A request that may come again and is to be answered as the first time. */
struct db_once {
    struct span key;  /* 32 bytes: of principal, route and the client's key */
    struct span body; /* 32 bytes: of what the request says */
};

struct db_write {
    const struct db_statement *statements; /* the last one's rows are the answer */
    size_t count;
    const struct db_identity *identity; /* null: none */
    const struct db_once *once;         /* null: none */
    const struct span *tags;            /* struck by it beside what the triggers strike */
    size_t tag_count;
    /*
     * Given the rows of the last statement, says what the answer is that a repetition gets; called
     * within the transaction where there is `once`. False: the transaction is rolled back.
     */
    bool (*record)(void *context, const struct db_result *rows, struct span *ret_record);
    void *context;
    int64_t timeout; /* µs for all of it */
};

enum db_write_outcome {
    DB_WRITTEN,
    DB_WRITTEN_BEFORE, /* `record` is what was recorded the first time; nothing was run */
    DB_WRITE_OTHER,    /* the key was used with another body */
    DB_WRITE_BUSY,     /* the same request is being worked on */
};

/*
 * What the triggers struck in a transaction of ours, a line each, some of them more than once; "*"
 * where that can't be told. With the transaction's own tags, where the session may write to the
 * outbox, they wait in the database until db_pool_struck is told that they were bumped; larderd
 * sees to those nobody does.
 */
struct db_struck {
    struct db_result *result; /* the tags lie in it; whoever has the struct owns it */
    struct span tags;
    uint64_t transaction; /* its number, for db_pool_struck; 0: nothing waits */
};

struct db_written {
    enum db_write_outcome outcome;
    struct db_result *result; /* of the last statement; the caller's; null: none */
    struct db_result *record; /* of DB_WRITTEN_BEFORE: its first value; the caller's */
    struct db_struck struck;  /* the caller's */
};

/*
 * Runs the write. On false nothing was committed, except after DB_FAILURE_UNKNOWN: the connection
 * was lost while the server was committing.
 */
MUST_CHECK bool db_pool_write(struct db_pool *pool, const struct db_write *write,
                              struct db_written *ret_written, struct db_failure *failure);

/* Frees the results. */
void db_written_free(struct db_written *written);

/*
 * The tags of these transactions were bumped, so larderd need not, once db_pool_struck_tell has
 * told PostgreSQL. Whatever goes wrong only makes it bump them again. Never waits.
 */
void db_pool_struck(struct db_pool *pool, const uint64_t *transactions, size_t count);

/* Tells of all that were bumped since; well within the half second that larderd leaves them alone.
 */
void db_pool_struck_tell(struct db_pool *pool);

#endif
