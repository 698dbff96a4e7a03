#include "db/again.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "db/pool_use.h"
#include "db/round.h"
#include "db/write_known.h"

/* How often a write is run again at most, for each reason. */
static const unsigned again_most[] = {
    [WRITE_AGAIN_NOT] = 0,       [WRITE_AGAIN_FRESH] = 1, [WRITE_AGAIN_ANEW] = 1,
    [WRITE_AGAIN_TAGLESS] = 1,   [WRITE_AGAIN_LATER] = 4, [WRITE_AGAIN_LOOK] = 1,
    [WRITE_AGAIN_ELSEWHERE] = 1,
};

/* The first pause, µs; each further one may be twice as long. */
#define PAUSE_LEAST INT64_C(2000)

/* After a failed attempt, while its connection is still at hand. */
static void learn(struct db_pool *pool, struct db_connection *connection, enum write_again again,
                  struct db_failure *failure)
{
    write_known_columns(db_pool_known(pool), connection, failure);
    if (again == WRITE_AGAIN_ANEW)
        db_forget_prepared(connection);
    if (again == WRITE_AGAIN_ELSEWHERE)
        connection->recovering = true;
    if (again == WRITE_AGAIN_TAGLESS)
        write_known_tagless(db_pool_known(pool));
}

static bool attempt(const struct again *again, int64_t until, enum db_wanted wanted,
                    enum write_again *ret_again, struct db_failure *failure)
{
    struct db_connection *connection;
    bool done = true;
    *ret_again = WRITE_AGAIN_NOT;
    if (!db_pool_take(again->pool, wanted, &connection, failure))
        return false;
    if (connection->forget && !connection->settings->transaction_pooling)
        done = db_forget_now(connection, until + DB_GRACE, failure);
    if (done)
        done =
            again->run(again->context, connection, until - clock_monotonic(), ret_again, failure);
    if (!done)
        learn(again->pool, connection, *ret_again, failure);
    db_pool_give(again->pool, connection);
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

/* All attempts share the time. */
static bool may_again(struct db_pool *pool, enum write_again again,
                      unsigned counts[static WRITE_AGAIN_COUNT], int64_t until)
{
    if (counts[again]++ >= again_most[again])
        return false;
    if (again == WRITE_AGAIN_ELSEWHERE && !db_pool_may_seek(pool))
        return false;
    if (again == WRITE_AGAIN_LATER)
        pause_before(counts[again], until);
    return clock_monotonic() < until;
}

static const enum db_wanted again_wanted[WRITE_AGAIN_COUNT] = {
    [WRITE_AGAIN_FRESH] = DB_WANTED_FRESH,
    [WRITE_AGAIN_ELSEWHERE] = DB_WANTED_PRIMARY,
};

bool again_run(const struct again *again, struct db_failure *failure)
{
    int64_t until = clock_monotonic() + again->timeout;
    unsigned counts[WRITE_AGAIN_COUNT] = {0};
    enum db_wanted wanted = DB_WANTED_ANY;
    enum write_again reason;
    for (;;) {
        struct db_failure local = {0};
        if (attempt(again, until, wanted, &reason, &local))
            return true;
        if (!may_again(again->pool, reason, counts, until)) {
            if (local.kind == DB_FAILURE_STALE)
                local.kind = DB_FAILURE_STATEMENT; /* preparing anew did not mend it */
            if (failure)
                *failure = local;
            return false;
        }
        wanted = again_wanted[reason];
    }
}
