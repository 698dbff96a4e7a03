#include "db/write.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "db/pool_use.h"
#include "db/round.h"
#include "db/write_known.h"
#include "db/write_run.h"

/* How often a write is run again at most, for each reason. */
static const unsigned again_most[] = {
    [WRITE_AGAIN_NOT] = 0,     [WRITE_AGAIN_FRESH] = 1, [WRITE_AGAIN_ANEW] = 1,
    [WRITE_AGAIN_TAGLESS] = 1, [WRITE_AGAIN_LATER] = 4, [WRITE_AGAIN_LOOK] = 1,
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
    if (again == WRITE_AGAIN_TAGLESS)
        write_known_tagless(db_pool_known(pool));
}

static void quoted_append(struct span text, struct bytes *out)
{
    bytes_append_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\')
            bytes_append_byte(out, '\\');
        bytes_append_byte(out, text.data[i]);
    }
    bytes_append_byte(out, '"');
}

/* {"a","b"}; null: memory. */
static char *array_text(const struct span *texts, size_t count)
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    for (size_t i = 0; i < count; i++) {
        bytes_append_byte(&text, i ? ',' : '{');
        quoted_append(texts[i], &text);
    }
    bytes_append_byte(&text, '}');
    return text.failed ? NULL : strdup(bytes_text(&text));
}

static bool attempt(struct db_pool *pool, const struct db_write *write, const char *tags,
                    int64_t until, enum db_wanted wanted, struct db_written *ret_written,
                    enum write_again *ret_again, struct db_failure *failure)
{
    struct db_connection *connection;
    *ret_again = WRITE_AGAIN_NOT;
    if (!db_pool_take(pool, wanted, &connection, failure))
        return false;
    struct write_terms terms = {0};
    bool leave;
    write_known_tags(db_pool_known(pool), connection, &terms.tags, &leave);
    terms.leave = leave ? tags : NULL;
    bool done = true;
    if (connection->forget && !connection->settings->transaction_pooling)
        done = db_forget_now(connection, until + DB_GRACE, failure);
    terms.timeout = until - clock_monotonic();
    if (done)
        done = db_write_run(connection, write, &terms, ret_written, ret_again, failure);
    if (!done)
        learn(pool, connection, *ret_again, failure);
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

/* All attempts share the time. */
static bool may_again(enum write_again again, unsigned counts[static WRITE_AGAIN_COUNT],
                      int64_t until)
{
    if (counts[again]++ >= again_most[again])
        return false;
    if (again == WRITE_AGAIN_LATER)
        pause_before(counts[again], until);
    return clock_monotonic() < until;
}

static bool write_on(struct db_pool *pool, const struct db_write *write, const char *tags,
                     struct db_written *ret_written, struct db_failure *failure)
{
    int64_t until = clock_monotonic() + write->timeout;
    unsigned counts[WRITE_AGAIN_COUNT] = {0};
    enum db_wanted wanted = DB_WANTED_ANY;
    enum write_again again;
    for (;;) {
        struct db_failure local = {0};
        if (attempt(pool, write, tags, until, wanted, ret_written, &again, &local))
            return true;
        if (!may_again(again, counts, until)) {
            if (local.kind == DB_FAILURE_STALE)
                local.kind = DB_FAILURE_STATEMENT; /* preparing anew did not mend it */
            if (failure)
                *failure = local;
            return false;
        }
        wanted = again == WRITE_AGAIN_FRESH ? DB_WANTED_FRESH : DB_WANTED_ANY;
    }
}

bool db_pool_write(struct db_pool *pool, const struct db_write *write,
                   struct db_written *ret_written, struct db_failure *failure)
{
    char *tags = write->tag_count ? array_text(write->tags, write->tag_count) : NULL;
    if (write->tag_count && !tags)
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    bool done = write_on(pool, write, tags, ret_written, failure);
    free(tags);
    return done;
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
    write_known_struck(db_pool_known(pool), transactions, count);
}

void db_pool_struck_tell(struct db_pool *pool)
{
    struct write_known *known = db_pool_known(pool);
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
