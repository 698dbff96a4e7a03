#include "db/write.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "db/pool_use.h"
#include "db/write_known.h"
#include "db/write_run.h"

/* A serialisation failure or a deadlock: how often the write is run at most, and the pauses. */
#define TRIES_MOST 5
#define PAUSE_LEAST INT64_C(2000)

/* What one attempt leaves open. */
enum again {
    AGAIN_NOT,
    AGAIN_FRESH,  /* the connection was lost before anything could be committed */
    AGAIN_ANEW,   /* something learnt was outdated: a prepared statement, or that there are tags */
    AGAIN_PAUSED, /* another transaction was in the way */
};

static enum again judge(struct db_connection *connection, const struct db_failure *failure,
                        bool tagless)
{
    if (tagless || failure->kind == DB_FAILURE_STALE)
        return AGAIN_ANEW;
    if (failure->kind == DB_FAILURE_RETRY)
        return AGAIN_PAUSED;
    return failure->kind == DB_FAILURE_UNAVAILABLE && !db_usable(connection) ? AGAIN_FRESH
                                                                             : AGAIN_NOT;
}

static bool attempt(struct db_pool *pool, const struct db_write *write, int64_t until,
                    enum db_wanted wanted, struct db_written *ret_written, enum again *ret_again,
                    struct db_failure *failure)
{
    struct write_known *known = db_pool_known(pool);
    struct db_connection *connection;
    bool tagless;
    *ret_again = AGAIN_NOT;
    if (!db_pool_take(pool, wanted, &connection, failure))
        return false;
    struct write_terms terms = {.tags = write_known_tags(known, connection)};
    terms.timeout = until - clock_monotonic();
    bool done = db_write_run(connection, write, &terms, ret_written, &tagless, failure);
    if (!done) {
        *ret_again = judge(connection, failure, tagless);
        write_known_columns(known, connection, failure);
        if (failure->kind == DB_FAILURE_STALE)
            db_forget_prepared(connection);
        if (tagless)
            write_known_tagless(known);
    }
    db_pool_give(pool, connection);
    return done;
}

/* Of random length, so that those who were in each other's way part. */
static void pause_before(unsigned tries, int64_t until)
{
    int64_t most = PAUSE_LEAST << tries, left = until - clock_monotonic();
    int64_t pause = PAUSE_LEAST / 2 + random() % most;
    pause = pause < left ? pause : left;
    if (pause > 0)
        nanosleep(&(struct timespec){.tv_nsec = pause * 1000}, NULL);
}

/* Each reason to begin again counts for itself, but all of them share the time. */
static bool may_again(enum again again, unsigned counts[static AGAIN_PAUSED + 1], int64_t until)
{
    static const unsigned most[] = {
        [AGAIN_NOT] = 0, [AGAIN_FRESH] = 1, [AGAIN_ANEW] = 2, [AGAIN_PAUSED] = TRIES_MOST - 1};
    if (counts[again]++ >= most[again])
        return false;
    if (again == AGAIN_PAUSED)
        pause_before(counts[again], until);
    return clock_monotonic() < until;
}

bool db_pool_write(struct db_pool *pool, const struct db_write *write,
                   struct db_written *ret_written, struct db_failure *failure)
{
    int64_t until = clock_monotonic() + write->timeout;
    unsigned counts[AGAIN_PAUSED + 1] = {0};
    enum db_wanted wanted = DB_WANTED_ANY;
    enum again again;
    for (;;) {
        struct db_failure local = {0};
        if (attempt(pool, write, until, wanted, ret_written, &again, &local))
            return true;
        if (!may_again(again, counts, until)) {
            if (local.kind == DB_FAILURE_STALE)
                local.kind = DB_FAILURE_STATEMENT; /* preparing anew did not mend it */
            if (failure)
                *failure = local;
            return false;
        }
        wanted = again == AGAIN_FRESH ? DB_WANTED_FRESH : DB_WANTED_ANY;
    }
}

void db_written_free(struct db_written *written)
{
    db_result_free(written->result);
    db_result_free(written->record);
    db_result_free(written->tags);
    *written = (struct db_written){0};
}

#define STRUCK_TIMEOUT INT64_C(1000000)

static bool struck_tell(struct db_pool *pool, const char *numbers)
{
    struct db_connection *connection;
    struct db_result *result;
    if (!db_pool_take(pool, DB_WANTED_ANY, &connection, NULL))
        return false;
    bool done = db_execute(connection, "SELECT larder.bumped($1::pg_catalog.xid8[])", &numbers, 1,
                           STRUCK_TIMEOUT, &result, NULL);
    if (done)
        db_result_free(result);
    db_pool_give(pool, connection);
    return done;
}

void db_pool_struck(struct db_pool *pool, const uint64_t *transactions, size_t count)
{
    struct write_known *known = db_pool_known(pool);
    write_known_struck(known, transactions, count);
    for (bool continued = false;; continued = true) {
        char *numbers = write_known_struck_take(known, continued);
        if (!numbers)
            return;
        bool told = struck_tell(pool, numbers);
        free(numbers);
        if (!told) {
            write_known_struck_failed(known);
            return;
        }
    }
}
