#include "db/write.h"

#include <stdlib.h>

#include "db/again.h"
#include "db/array.h"
#include "db/pool_use.h"
#include "db/round.h"
#include "db/write_known.h"
#include "db/write_run.h"

struct writing {
    struct db_pool *pool;
    const struct db_write *write;
    const char *tags; /* null: none */
    struct db_written *ret_written;
};

static bool run(void *context, struct db_connection *connection, int64_t timeout,
                enum write_again *ret_again, struct db_failure *failure)
{
    const struct writing *writing = context;
    struct write_terms terms = {.timeout = timeout};
    bool leave;
    write_known_tags(db_pool_known(writing->pool), connection, &terms.tags, &leave);
    terms.leave = leave ? writing->tags : NULL;
    return db_write_run(connection, writing->write, &terms, writing->ret_written, ret_again,
                        failure);
}

bool db_pool_write(struct db_pool *pool, const struct db_write *write,
                   struct db_written *ret_written, struct db_failure *failure)
{
    char *tags = write->tag_count ? db_array_text(write->tags, write->tag_count) : NULL;
    if (write->tag_count && !tags)
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    struct writing writing = {pool, write, tags, ret_written};
    const struct again again = {
        .pool = pool, .timeout = write->timeout, .run = run, .context = &writing};
    bool done = again_run(&again, failure);
    free(tags);
    return done;
}

void db_written_free(struct db_written *written)
{
    db_result_free(written->result);
    db_result_free(written->record);
    db_result_free(written->struck.result);
    *written = (struct db_written){0};
}

#define STRUCK_TIMEOUT INT64_C(1000000)

/* The numbers are digits and commas. */
static bool struck_tell(struct db_pool *pool, const char *numbers)
{
    struct bytes sql CLEANUP(bytes_free) = BYTES_EMPTY;
    struct db_connection *connection;
    bytes_append_format(&sql, DB_READ_COMMITTED "SELECT larder.bumped('%s'::pg_catalog.xid8[])",
                        numbers);
    if (sql.failed || !db_pool_take(pool, DB_WANTED_ANY, &connection, NULL))
        return false;
    bool done = db_script(connection, sql.data, STRUCK_TIMEOUT, NULL);
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
