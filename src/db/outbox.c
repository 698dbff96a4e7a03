#include "db/outbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "db/round.h"

/* A peer that is stopped in the midst of a batch loses its locks after this long. */
#define IDLE_LIMIT "5s"

/* One bounded round trip of statements without parameters. */
static bool execute(struct db_connection *connection, const char *sql, int64_t timeout,
                    PGresult **ret_rows, struct db_failure *failure)
{
    if (!PQsendQuery(connection->handle, sql))
        return db_lost(connection, failure);
    return db_round_trip(connection, clock_monotonic() + timeout + DB_GRACE, ret_rows, failure);
}

static bool command(struct db_connection *connection, const char *sql, int64_t timeout,
                    struct db_failure *failure)
{
    PGresult *rows = NULL;
    if (!execute(connection, sql, timeout, &rows, failure))
        return false;
    PQclear(rows);
    return true;
}

/* A transaction that can't be ended is the end of the connection. */
static void roll_back(struct db_connection *connection, int64_t timeout)
{
    if (!connection->dead && PQtransactionStatus(connection->handle) != PQTRANS_IDLE &&
        !command(connection, "ROLLBACK", timeout, NULL))
        connection->dead = true;
}

static bool lost_if_unavailable(struct db_connection *connection, const struct db_failure *failure)
{
    if (failure->kind == DB_FAILURE_UNAVAILABLE)
        connection->dead = true;
    return false;
}

/*
 * What every look is made with. Index scans, unlike others, stop at the limit and mark dead entries
 * for those that come after them.
 */
static const char *const ways[] = {
    "synchronous_commit = off",
    "enable_seqscan = off",
    "enable_bitmapscan = off",
    "jit = off",
    "plan_cache_mode = force_generic_plan",
    "work_mem = '32MB'",
    "idle_in_transaction_session_timeout = '" IDLE_LIMIT "'",
};

static void ways_append(struct bytes *sql, const char *set)
{
    for (size_t i = 0; i < ARRAY_COUNT(ways); i++)
        bytes_append_format(sql, "%s %s; ", set, ways[i]);
}

/* A session of our own is told once; it takes a third of an idle look otherwise. */
static bool ways_set(struct db_connection *connection, int64_t timeout, struct db_failure *failure)
{
    struct bytes sql CLEANUP(bytes_free) = BYTES_EMPTY;
    if (connection->ways_set || connection->settings->transaction_pooling)
        return true;
    ways_append(&sql, "SET");
    if (sql.failed)
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    connection->ways_set = command(connection, sql.data, timeout, failure);
    return connection->ways_set;
}

/* What opens a transaction and asks. */
static bool begin_text(struct db_connection *connection, const char *query, int64_t timeout,
                       struct bytes *sql, struct db_failure *failure)
{
    if (!ways_set(connection, timeout, failure))
        return false;
    bytes_append_text(sql, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; ");
    if (!connection->ways_set)
        ways_append(sql, "SET LOCAL");
    if (connection->session_timeout != timeout)
        bytes_append_format(sql, "SET LOCAL statement_timeout = %" PRId64 "; ",
                            db_milliseconds(timeout));
    bytes_append_text(sql, query);
    return sql->failed ? db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory") : true;
}

static bool begin_failed(struct db_connection *connection, const struct db_failure *local,
                         int64_t timeout, struct db_failure *failure)
{
    roll_back(connection, timeout);
    lost_if_unavailable(connection, local);
    if (failure)
        *failure = *local;
    return false;
}

/* Opens a transaction and asks; on false there is none open. */
static bool begin(struct db_connection *connection, const char *query, int64_t timeout,
                  PGresult **ret_rows, struct db_failure *failure)
{
    struct bytes sql CLEANUP(bytes_free) = BYTES_EMPTY;
    struct db_failure local = {0};
    if (!begin_text(connection, query, timeout, &sql, failure))
        return false;
    return execute(connection, sql.data, timeout, ret_rows, &local) ||
           begin_failed(connection, &local, timeout, failure);
}

/*
 * The first row tells of the poll, the others are its tags. Numbers from the snapshot's end on are
 * not looked at, nor pending ones that still run: their rows can't be seen. A number whose rows
 * were not all taken has some that a peer holds; that is only asked when the limit was not reached.
 *
 * The values are, in this order, the pending numbers, the first of the newer ones, the limit, the
 * lanes, the snapshot to look with, NULL for the one of now, and where to end, NULL for its end.
 * Each number is looked up by itself (LATERAL), so that whenever the plan was made it reads the
 * index by number, never all of it.
 */
#define LANES "o.lane = ANY (%4$s) AND "
#define NEWER                                                                                      \
    "FROM larder.outbox AS o WHERE " LANES "o.xid >= %2$s "                                        \
    "AND o.xid < (SELECT upper FROM now) "
static const char take_format[] =
    "WITH now AS MATERIALIZED (SELECT "
    "    snapshot, least(pg_catalog.pg_snapshot_xmax(snapshot), %6$s) AS upper FROM (SELECT "
    "    coalesce(%5$s, pg_catalog.pg_current_snapshot()) AS snapshot) AS seen_with), "
    "pending AS MATERIALIZED (SELECT number FROM pg_catalog.unnest(%1$s) AS number, now "
    "  WHERE pg_catalog.pg_visible_in_snapshot(number, snapshot)), "
    "older AS MATERIALIZED (SELECT o.place, o.xid FROM pending CROSS JOIN LATERAL ("
    "    SELECT o.ctid AS place, o.xid FROM larder.outbox AS o WHERE " LANES "o.xid = number "
    "    LIMIT %3$s FOR UPDATE SKIP LOCKED) AS o LIMIT %3$s), "
    "newer AS MATERIALIZED (SELECT o.ctid AS place, o.xid " NEWER
    "  LIMIT %3$s FOR UPDATE SKIP LOCKED), "
    "taken AS MATERIALIZED (TABLE older UNION ALL TABLE newer), "
    "gone AS (DELETE FROM larder.outbox AS o "
    "  WHERE o.ctid = ANY (ARRAY(SELECT place FROM taken)) RETURNING o.tag), "
    "whole AS MATERIALIZED (SELECT (SELECT count(*) FROM older) < %3$s "
    "  AND (SELECT count(*) FROM newer) < %3$s AS so), "
    "seen AS (SELECT number AS xid, o.count FROM pending CROSS JOIN LATERAL ("
    "    SELECT count(*) FROM larder.outbox AS o WHERE " LANES "o.xid = number "
    "    HAVING count(*) > 0) AS o WHERE (SELECT so FROM whole) "
    "  UNION ALL SELECT o.xid, count(*) " NEWER "AND (SELECT so FROM whole) GROUP BY o.xid), "
    "left_over AS (TABLE seen EXCEPT SELECT xid, count(*) FROM taken GROUP BY xid) "
    "SELECT now.snapshot::text, (SELECT count(*) FROM taken)::text, (SELECT so FROM whole)::text, "
    "  (SELECT pg_catalog.string_agg(xid::text, ',') FROM left_over), "
    "  (EXISTS (SELECT FROM larder.marker))::text, (SELECT last_value FROM larder.asleep)::text "
    "FROM now "
    "UNION ALL SELECT * FROM (SELECT DISTINCT line, NULL, NULL, NULL, NULL, NULL "
    "  FROM gone CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.string_to_array(tag, E'\\n')) AS "
    "line) AS tags";

enum { META_SNAPSHOT, META_TAKEN, META_WHOLE, META_SKIPPED, META_MARKED, META_ASLEEP };

static struct span meta(const struct db_outbox_batch *batch, int column)
{
    return db_result_value(batch->result, 0, column);
}

static struct db_outbox_batch batch_of(PGresult *rows)
{
    struct db_outbox_batch batch = {.result = (struct db_result *)rows};
    batch.tag_count = (size_t)PQntuples(rows) - 1;
    batch.row_count = strtoll(PQgetvalue(rows, 0, META_TAKEN), NULL, 10);
    batch.more = !span_is(meta(&batch, META_WHOLE), "true");
    batch.shared = meta(&batch, META_SKIPPED).size > 0;
    batch.marked = span_is(meta(&batch, META_MARKED), "true");
    batch.asleep = span_is(meta(&batch, META_ASLEEP), "2");
    batch.oldest_running = position_oldest_running(meta(&batch, META_SNAPSHOT));
    return batch;
}

/* Planning takes ten times as long as looking, so a session of our own plans once. */
static bool take_prepare(struct db_connection *connection, int64_t timeout,
                         struct db_failure *failure)
{
    struct bytes sql CLEANUP(bytes_free) = BYTES_EMPTY;
    if (connection->take_prepared)
        return true;
    bytes_append_text(&sql, "PREPARE larder_take (pg_catalog.xid8[], pg_catalog.xid8, "
                            "pg_catalog.int8, pg_catalog.int2[], pg_catalog.pg_snapshot, "
                            "pg_catalog.xid8) AS ");
    bytes_append_format(&sql, take_format, "$1", "$2", "$3", "$4", "$5", "$6");
    if (sql.failed)
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    connection->take_prepared = command(connection, sql.data, timeout, failure);
    return connection->take_prepared;
}

#define SHARED_LANES "'{0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15}'::pg_catalog.int2[]"
#define OWN_LANES "'{16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31}'::pg_catalog.int2[]"

struct asking {
    const struct position *position; /* null: from `from` to below `until` */
    uint64_t from, until;
    const char *lanes;
    struct span snapshot; /* empty: of now */
    int limit;
    int64_t timeout; /* µs */
};

static void take_append(const struct db_connection *connection, const struct asking *asking,
                        struct bytes *out)
{
    struct bytes pending CLEANUP(bytes_free) = BYTES_EMPTY, next CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes snapshot CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes until CLEANUP(bytes_free) = BYTES_EMPTY;
    char most[16];
    bytes_append_format(&pending, "'{%s}'::pg_catalog.xid8[]",
                        asking->position ? bytes_text(&asking->position->pending) : "");
    bytes_append_format(&next, "'%" PRIu64 "'::pg_catalog.xid8",
                        asking->position ? asking->position->next : asking->from);
    bytes_append_format(&until, asking->position ? "NULL" : "'%" PRIu64 "'::pg_catalog.xid8",
                        asking->until);
    bytes_append_format(&snapshot,
                        asking->snapshot.size ? "'%.*s'::pg_catalog.pg_snapshot" : "NULL",
                        (int)asking->snapshot.size, asking->snapshot.data);
    snprintf(most, sizeof most, "%d", asking->limit);
    const char *format =
        connection->take_prepared ? "EXECUTE larder_take(%s, %s, %s, %s, %s, %s)" : take_format;
    bytes_append_format(out, format, bytes_text(&pending), bytes_text(&next), most, asking->lanes,
                        bytes_text(&snapshot), bytes_text(&until));
    out->failed |= pending.failed || next.failed || snapshot.failed || until.failed;
}

static bool take_text(struct db_connection *connection, const struct asking *asking,
                      struct bytes *query, struct db_failure *failure)
{
    if (!connection->settings->transaction_pooling &&
        !take_prepare(connection, asking->timeout, failure))
        return false;
    take_append(connection, asking, query);
    return query->failed ? db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory") : true;
}

static bool take(struct db_connection *connection, const struct asking *asking,
                 struct db_outbox_batch *ret_batch, struct db_failure *failure)
{
    struct bytes query CLEANUP(bytes_free) = BYTES_EMPTY;
    PGresult *rows = NULL;
    if (!take_text(connection, asking, &query, failure) ||
        !begin(connection, query.data, asking->timeout, &rows, failure))
        return false;
    *ret_batch = batch_of(rows);
    return true;
}

bool db_outbox_take(struct db_connection *connection, const struct position *position, int limit,
                    int64_t timeout, struct db_outbox_batch *ret_batch, struct db_failure *failure)
{
    const struct asking asking = {
        .position = position, .lanes = SHARED_LANES, .limit = limit, .timeout = timeout};
    return take(connection, &asking, ret_batch, failure);
}

bool db_outbox_take_left(struct db_connection *connection, const struct position *position,
                         struct span snapshot, int limit, int64_t timeout,
                         struct db_outbox_batch *ret_batch, struct db_failure *failure)
{
    const struct asking asking = {.position = position,
                                  .lanes = OWN_LANES,
                                  .snapshot = snapshot,
                                  .limit = limit,
                                  .timeout = timeout};
    return take(connection, &asking, ret_batch, failure);
}

bool db_outbox_snapshot(struct db_connection *connection, int64_t timeout,
                        struct bytes *ret_snapshot, struct db_failure *failure)
{
    PGresult *rows = NULL;
    if (!execute(connection, "SELECT pg_catalog.pg_current_snapshot()::text", timeout, &rows,
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

struct span db_outbox_tag(const struct db_outbox_batch *batch, size_t index)
{
    return db_result_value(batch->result, (int)index + 1, 0);
}

static void batch_free(struct db_outbox_batch *batch)
{
    db_result_free(batch->result);
    *batch = (struct db_outbox_batch){0};
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
    bool done = command(connection, sql, timeout, &local);
    if (!done) {
        roll_back(connection, timeout);
        lost_if_unavailable(connection, &local);
        if (failure)
            *failure = local;
    } else if (position && !batch->more) {
        position_advance(position, meta(batch, META_SNAPSHOT), meta(batch, META_SKIPPED));
    }
    batch_free(batch);
    return done;
}

void db_outbox_give_back(struct db_connection *connection, struct db_outbox_batch *batch,
                         int64_t timeout)
{
    roll_back(connection, timeout);
    batch_free(batch);
}

/*
 * Two transactions: setval's own number is drawn before the flag changes, so only a number drawn
 * after it is above those of all who may have seen the old value.
 */
bool db_outbox_lie_down(struct db_connection *connection, int64_t timeout, uint64_t *ret_until,
                        struct db_failure *failure)
{
    PGresult *rows = NULL;
    if (!command(connection, "SELECT pg_catalog.setval('larder.asleep', 2)", timeout, failure) ||
        !execute(connection, "SELECT pg_catalog.pg_current_xact_id()", timeout, &rows, failure))
        return false;
    *ret_until = strtoull(PQgetvalue(rows, 0, 0), NULL, 10);
    PQclear(rows);
    return true;
}

bool db_outbox_get_up(struct db_connection *connection, int64_t timeout, struct db_failure *failure)
{
    return command(connection, "SELECT pg_catalog.setval('larder.asleep', 1)", timeout, failure);
}

bool db_outbox_notify(struct db_connection *connection, int64_t timeout, struct db_failure *failure)
{
    return command(connection, "NOTIFY larder", timeout, failure);
}

bool db_outbox_listen(struct db_connection *connection, int64_t timeout, struct db_failure *failure)
{
    return command(connection, "LISTEN larder", timeout, failure);
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
    "SELECT NULL::text, '0', 'true', NULL, 'true', NULL "
    "UNION ALL SELECT * FROM (SELECT DISTINCT tag, NULL, NULL, NULL, NULL, NULL "
    "  FROM larder.changed_definitions() AS changed (tag)) AS tags";

static const char no_definitions_query[] = "SELECT NULL::text, '0', 'true', NULL, 'true', NULL";

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
    if (!execute(connection, definitions_state, timeout, &rows, failure))
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
    if (!begin_text(connection, query, timeout, &sql, failure))
        return false;
    return PQsendQuery(connection->handle, sql.data) ? true : db_lost(connection, failure);
}

bool db_outbox_definitions_ask(struct db_connection *connection, int64_t timeout,
                               bool *ret_settings, struct db_failure *failure)
{
    bool known;
    return definitions_known(connection, timeout, &known, ret_settings, failure) &&
           ask(connection, known ? definitions_query : no_definitions_query, timeout, failure);
}

bool db_outbox_between_ask(struct db_connection *connection, uint64_t from, uint64_t until,
                           int limit, int64_t timeout, struct db_failure *failure)
{
    struct bytes query CLEANUP(bytes_free) = BYTES_EMPTY;
    const struct asking asking = {
        .from = from, .until = until, .lanes = SHARED_LANES, .limit = limit, .timeout = timeout};
    return take_text(connection, &asking, &query, failure) &&
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
        return begin_failed(connection, &local, DB_GRACE, failure);
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
    if (execute(connection, sql, timeout, &rows, &local)) {
        *ret_count = strtoll(PQgetvalue(rows, 0, 0), NULL, 10);
        PQclear(rows);
        return true;
    }
    *ret_count = 0;
    if (is_refused(&local))
        return true;
    lost_if_unavailable(connection, &local);
    if (failure)
        *failure = local;
    return false;
}
