#include "db/outbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/take.h"

static struct span meta(const struct db_outbox_batch *batch, int column)
{
    return db_result_value(batch->result, 0, column);
}

static int64_t meta_count(const struct db_outbox_batch *batch, int column)
{
    struct span text = meta(batch, column);
    return text.data ? strtoll(text.data, NULL, 10) : 0;
}

static bool ring_has(const struct db_outbox_batch *batch, char letter)
{
    struct span letters = meta(batch, TAKE_RING);
    return letters.size && memchr(letters.data, letter, letters.size);
}

static struct db_outbox_ring ring_of(const struct db_outbox_batch *batch)
{
    return (struct db_outbox_ring){.taken = meta_count(batch, TAKE_RING_TAKEN),
                                   .more = ring_has(batch, 'm'),
                                   .coming = ring_has(batch, 'c'),
                                   .held = ring_has(batch, 'h')};
}

static struct db_outbox_batch batch_of(PGresult *rows)
{
    struct db_outbox_batch batch = {.result = (struct db_result *)rows};
    batch.tag_count = (size_t)PQntuples(rows) - 1 + span_parts(meta(&batch, TAKE_RING_TAGS), '\n');
    batch.row_count = meta_count(&batch, TAKE_TAKEN);
    batch.more = !span_is(meta(&batch, TAKE_WHOLE), "true");
    batch.shared = meta(&batch, TAKE_SKIPPED).size > 0;
    batch.marked = span_is(meta(&batch, TAKE_MARKED), "true");
    batch.ring = ring_of(&batch);
    batch.lost = !batch.marked || ring_has(&batch, 'l');
    batch.some_notify = span_is(meta(&batch, TAKE_ASLEEP), "2");
    batch.all_notify = batch.some_notify && !ring_has(&batch, 'u');
    batch.some_notify |= ring_has(&batch, 'a');
    batch.oldest_running = position_oldest_running(meta(&batch, TAKE_SNAPSHOT));
    return batch;
}

static void batch_free(struct db_outbox_batch *batch)
{
    db_result_free(batch->result);
    *batch = (struct db_outbox_batch){0};
}

/*
 * What the look says of the ring: whether the next one is to ask it. Where it was not asked though
 * it is there, nobody may say that all was taken.
 */
static bool see_ring(struct db_connection *connection, const struct take *asked,
                     struct db_outbox_batch *batch, struct db_failure *failure)
{
    if (asked->ring && meta(batch, TAKE_RING_TAKEN).data)
        connection->ring = asked->ring;
    else if (!span_is(meta(batch, TAKE_THERE), "true"))
        return true;
    else if (!take_find_ring(connection, asked->timeout, &connection->ring, failure))
        return false;
    batch->ring.more |= connection->ring != asked->ring;
    return true;
}

/* DROP EXTENSION took the function, perhaps with its schema. */
static bool is_gone(const struct db_failure *failure)
{
    return strcmp(failure->sqlstate, "3F000") == 0 || strcmp(failure->sqlstate, "42883") == 0;
}

static bool take(struct db_connection *connection, const struct take *asked,
                 struct db_outbox_batch *ret_batch, struct db_failure *failure)
{
    struct bytes query CLEANUP(bytes_free) = BYTES_EMPTY;
    PGresult *rows = NULL;
    if (!take_text(connection, asked, &query, failure) ||
        !look_begin(connection, query.data, asked->timeout, &rows, failure))
        return false;
    *ret_batch = batch_of(rows);
    ret_batch->ring.alone = asked->ring_alone;
    return true;
}

bool db_outbox_take(struct db_connection *connection, const struct position *position,
                    bool ring_alone, int limit, int64_t timeout, struct db_outbox_batch *ret_batch,
                    struct db_failure *failure)
{
    struct take asked = {
        .position = position, .lanes = TAKE_SHARED_LANES, .limit = limit, .timeout = timeout};
    struct db_failure local = {0};
    if (!connection->ring_sought &&
        !take_find_ring(connection, timeout, &connection->ring, failure))
        return false;
    connection->ring_sought = true;
    asked.ring = connection->ring;
    asked.ring_alone = ring_alone && asked.ring;
    connection->ring = 0; /* until it is seen again */
    bool taken = take(connection, &asked, ret_batch, &local);
    if (!taken && asked.ring && is_gone(&local)) {
        asked.ring = 0;
        asked.ring_alone = false;
        taken = take(connection, &asked, ret_batch, &local);
    }
    if (taken && see_ring(connection, &asked, ret_batch, &local))
        return true;
    if (taken) {
        batch_free(ret_batch);
        look_roll_back(connection, timeout);
    }
    /* Who may not take of it must not seem well at every other poll. */
    connection->ring = asked.ring;
    *failure = local;
    return false;
}

bool db_outbox_take_left(struct db_connection *connection, const struct position *position,
                         struct span snapshot, int limit, int64_t timeout,
                         struct db_outbox_batch *ret_batch, struct db_failure *failure)
{
    const struct take asked = {.position = position,
                               .lanes = TAKE_OWN_LANES,
                               .snapshot = snapshot,
                               .limit = limit,
                               .timeout = timeout};
    return take(connection, &asked, ret_batch, failure);
}

bool db_outbox_snapshot(struct db_connection *connection, int64_t timeout,
                        struct bytes *ret_snapshot, struct db_failure *failure)
{
    PGresult *rows = NULL;
    if (!look_rows(connection, "SELECT pg_catalog.pg_current_snapshot()::text", timeout, &rows,
                   failure))
        return false;
    bytes_clear(ret_snapshot);
    bytes_append_text(ret_snapshot, PQgetvalue(rows, 0, 0));
    PQclear(rows);
    return ret_snapshot->failed ? db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory")
                                : true;
}

bool db_outbox_missing(const struct db_failure *failure)
{
    static const char *const states[] = {"3F000", "42P01", "42703"};
    for (size_t i = 0; i < ARRAY_COUNT(states); i++)
        if (strcmp(failure->sqlstate, states[i]) == 0)
            return true;
    return false;
}

void db_outbox_tags(const struct db_outbox_batch *batch, struct span *ret_tags)
{
    struct span ring = meta(batch, TAKE_RING_TAGS);
    int rows = PQntuples((const PGresult *)batch->result);
    for (int row = 1; row < rows; row++)
        *ret_tags++ = db_result_value(batch->result, row, 0);
    while (ring.data)
        *ret_tags++ = span_split(&ring, '\n');
}

/*
 * A dump that is being restored makes the marker's key after its row. A row put there before would
 * fail that, so it is none without the key.
 */
bool db_outbox_done(struct db_connection *connection, struct db_outbox_batch *batch,
                    int64_t timeout, struct position *position, struct db_failure *failure)
{
    struct db_failure local = {0};
    const char *sql = batch->marked ? "COMMIT"
                                    : "INSERT INTO larder.marker DEFAULT VALUES "
                                      "ON CONFLICT (one) DO NOTHING; COMMIT";
    bool done = look_command(connection, sql, timeout, &local);
    if (!done) {
        look_roll_back(connection, timeout);
        look_lost(connection, &local);
        if (failure)
            *failure = local;
    } else if (position && !batch->more && !batch->ring.alone) {
        position_advance(position, meta(batch, TAKE_SNAPSHOT), meta(batch, TAKE_SKIPPED));
    }
    batch_free(batch);
    return done;
}

void db_outbox_give_back(struct db_connection *connection, struct db_outbox_batch *batch,
                         int64_t timeout)
{
    look_roll_back(connection, timeout);
    batch_free(batch);
}

/* As larder_ring.take, not a function that somebody else put there. */
#define IN_C                                                                                       \
    " WHERE EXISTS (SELECT FROM pg_catalog.pg_proc WHERE prolang = 13"                             \
    " AND oid = 'larder_ring.asleep(boolean)'::pg_catalog.regprocedure)"

/*
 * The ring's flag is set last and cleared first: however several larderds' changes mix, it is not
 * left cleared where larder.asleep is set.
 *
 * Two transactions: setval's own number is drawn before the flag changes, so only a number drawn
 * after it is above those of all who may have seen the old value.
 */
bool db_outbox_lie_down(struct db_connection *connection, int64_t timeout, uint64_t *ret_until,
                        struct db_failure *failure)
{
    PGresult *rows = NULL;
    const char *sql = connection->ring ? "SELECT pg_catalog.setval('larder.asleep', 2); "
                                         "SELECT larder_ring.asleep(true)" IN_C
                                       : "SELECT pg_catalog.setval('larder.asleep', 2)";
    if (!look_command(connection, sql, timeout, failure) ||
        !look_rows(connection, "SELECT pg_catalog.pg_current_xact_id()", timeout, &rows, failure))
        return false;
    *ret_until = strtoull(PQgetvalue(rows, 0, 0), NULL, 10);
    PQclear(rows);
    return true;
}

bool db_outbox_get_up(struct db_connection *connection, int64_t timeout, struct db_failure *failure)
{
    const char *sql = connection->ring ? "SELECT larder_ring.asleep(false)" IN_C "; "
                                         "SELECT pg_catalog.setval('larder.asleep', 1)"
                                       : "SELECT pg_catalog.setval('larder.asleep', 1)";
    return look_command(connection, sql, timeout, failure);
}

bool db_outbox_notify(struct db_connection *connection, int64_t timeout, struct db_failure *failure)
{
    return look_command(connection, "NOTIFY larder", timeout, failure);
}

bool db_outbox_listen(struct db_connection *connection, int64_t timeout, struct db_failure *failure)
{
    return look_command(connection, "LISTEN larder", timeout, failure);
}

bool db_outbox_notified(struct db_connection *connection, bool *ret_notified,
                        struct db_failure *failure)
{
    PGnotify *notify;
    bool notified = false;
    if (!PQconsumeInput(connection->handle) || PQstatus(connection->handle) == CONNECTION_BAD)
        return db_lost(connection, failure);
    while ((notify = PQnotifies(connection->handle))) {
        PQfreemem(notify);
        notified = true;
    }
    *ret_notified = notified;
    return true;
}

int db_outbox_fd(const struct db_connection *connection)
{
    return PQsocket(connection->handle);
}

/* The first row stands where a poll's first row stands, so that a batch is a batch. */
static const char definitions_query[] =
    TAKE_NOTHING " UNION ALL SELECT * FROM (SELECT DISTINCT tag, " TAKE_NULLS
                 "  FROM larder.changed_definitions() AS changed (tag)) AS tags";

/* What the function can look at is its owner's matter. */
static const char definitions_state[] =
    "SELECT p.oid IS NOT NULL, coalesce(pg_catalog.has_table_privilege(p.proowner,"
    " 'pg_catalog.pg_db_role_setting', 'SELECT'), true) "
    "FROM (SELECT pg_catalog.to_regprocedure('larder.changed_definitions()') AS oid) AS called "
    "LEFT JOIN pg_catalog.pg_proc AS p ON p.oid = called.oid";

static bool is_true(const PGresult *rows, int column)
{
    return strcmp(PQgetvalue(rows, 0, column), "t") == 0;
}

static bool definitions_known(struct db_connection *connection, int64_t timeout, bool *ret_known,
                              bool *ret_settings, struct db_failure *failure)
{
    PGresult *rows = NULL;
    if (!look_rows(connection, definitions_state, timeout, &rows, failure))
        return false;
    *ret_known = is_true(rows, 0);
    *ret_settings = is_true(rows, 1);
    PQclear(rows);
    return true;
}

static bool ask(struct db_connection *connection, const char *query, int64_t timeout,
                struct db_failure *failure)
{
    struct bytes sql CLEANUP(bytes_free) = BYTES_EMPTY;
    if (!look_text(connection, query, timeout, &sql, failure))
        return false;
    return PQsendQuery(connection->handle, sql.data) ? true : db_lost(connection, failure);
}

bool db_outbox_definitions_ask(struct db_connection *connection, int64_t timeout,
                               bool *ret_settings, struct db_failure *failure)
{
    bool known;
    return definitions_known(connection, timeout, &known, ret_settings, failure) &&
           ask(connection, known ? definitions_query : TAKE_NOTHING, timeout, failure);
}

bool db_outbox_between_ask(struct db_connection *connection, uint64_t from, uint64_t until,
                           int limit, int64_t timeout, struct db_failure *failure)
{
    struct bytes query CLEANUP(bytes_free) = BYTES_EMPTY;
    const struct take asked = {.from = from,
                               .until = until,
                               .lanes = TAKE_SHARED_LANES,
                               .limit = limit,
                               .timeout = timeout};
    return take_text(connection, &asked, &query, failure) &&
           ask(connection, query.data, timeout, failure);
}

bool db_outbox_answer_come(struct db_connection *connection)
{
    return !PQconsumeInput(connection->handle) || !PQisBusy(connection->handle);
}

bool db_outbox_answer_take(struct db_connection *connection, int64_t deadline,
                           struct db_outbox_batch *ret_batch, struct db_failure *failure)
{
    PGresult *rows = NULL;
    struct db_failure local = {0};
    if (!db_round_trip(connection, deadline, &rows, &local))
        return look_failed(connection, &local, DB_GRACE, failure);
    *ret_batch = batch_of(rows);
    return true;
}

/* Was it refused since there is no such function, or not for this role? */
static bool is_refused(const struct db_failure *failure)
{
    static const char *const states[] = {"42883", "3F000", "42P01", "42501"};
    for (size_t i = 0; i < ARRAY_COUNT(states); i++)
        if (strcmp(failure->sqlstate, states[i]) == 0)
            return true;
    return false;
}

bool db_outbox_forget(struct db_connection *connection, enum db_kept kept, int64_t age,
                      int64_t timeout, int64_t *ret_count, struct db_failure *failure)
{
    static const char *const functions[] = {
        [DB_KEPT_ANSWERS] = "once_forget", [DB_KEPT_JOBS] = "jobs_forget"};
    char sql[160];
    struct db_failure local = {0};
    PGresult *rows = NULL;
    snprintf(sql, sizeof sql, DB_READ_COMMITTED "SELECT larder.%s(%" PRId64 ")", functions[kept],
             age / 1000000);
    if (look_rows(connection, sql, timeout, &rows, &local)) {
        *ret_count = strtoll(PQgetvalue(rows, 0, 0), NULL, 10);
        PQclear(rows);
        return true;
    }
    *ret_count = 0;
    if (is_refused(&local))
        return true;
    look_lost(connection, &local);
    if (failure)
        *failure = local;
    return false;
}
