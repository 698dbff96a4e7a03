#include "db/take.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * The values are, in this order, the pending numbers, the first of the newer ones, the limit, the
 * lanes, the snapshot to look with, NULL for the one of now, and where to end, NULL for its end;
 * then what is asked of the ring. Each number is looked up by itself (LATERAL), so that whenever
 * the plan was made it reads the index by number, never all of it.
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
    "left_over AS (TABLE seen EXCEPT SELECT xid, count(*) FROM taken GROUP BY xid) %7$s"
    "SELECT now.snapshot::text, (SELECT count(*) FROM taken)::text, (SELECT so FROM whole)::text, "
    "  (SELECT pg_catalog.string_agg(xid::text, ',') FROM left_over), "
    "  (EXISTS (SELECT FROM larder.marker))::text, (SELECT last_value FROM larder.asleep)::text, "
    "  (pg_catalog.to_regnamespace('larder_ring') IS NOT NULL)::text, %8$s FROM now "
    "UNION ALL SELECT * FROM (SELECT DISTINCT line, " TAKE_NULLS
    "  FROM (SELECT line FROM gone CROSS JOIN LATERAL pg_catalog.unnest("
    "    pg_catalog.string_to_array(tag, E'\\n')) AS line) AS lines) AS tags";

/*
 * A function in the module's place is not called: the comparison is made with the plan, which is
 * made anew where there is another.
 */
#define RING "'larder_ring.take(pg_catalog.int4)'::pg_catalog.regprocedure"
#define RING_FROM                                                                                  \
    "FROM larder_ring.take(%1$s::pg_catalog.int4) WHERE " RING " = %2$u::pg_catalog.oid"
#define RING_STATE                                                                                 \
    "pg_catalog.concat(CASE WHEN more THEN 'm' END, CASE WHEN coming THEN 'c' END, "               \
    "  CASE WHEN held THEN 'h' END, CASE WHEN lost THEN 'l' END, "                                 \
    "  CASE WHEN asleep THEN 'a' WHEN NOT asleep THEN 'u' END)"
static const char ring_format[] = ", ring AS MATERIALIZED (SELECT * " RING_FROM ") ";
static const char ring_columns[] =
    "(SELECT taken FROM ring)::text, (SELECT " RING_STATE " FROM ring), (SELECT tags FROM ring)";

#define TAKE_EMPTY "NULL::text, '0', 'true', NULL, 'true', NULL, 'true'"

/*
 * Of the ring alone: a fraction of what a look at an empty outbox takes of the server. It says of
 * the outbox what a look that finds it empty says.
 */
static const char alone_format[] =
    "SELECT " TAKE_EMPTY ", taken::text, " RING_STATE ", tags " RING_FROM
    " UNION ALL SELECT " TAKE_EMPTY ", NULL, NULL, NULL WHERE " RING " <> %2$u::pg_catalog.oid";

/* Who may make a schema could put functions there, but not in C. */
static const char find_ring[] =
    "SELECT coalesce(max(oid), 0) FROM pg_catalog.pg_proc WHERE prolang = 13 AND proname = 'take' "
    "AND proargtypes = '23'::pg_catalog.oidvector "
    "AND pronamespace = pg_catalog.to_regnamespace('larder_ring')";

enum { PENDING, NEXT, LIMIT, LANES_OF, SNAPSHOT, UNTIL, VALUES };

static void statement_append(unsigned ring, const char *const values[static VALUES],
                             struct bytes *out)
{
    struct bytes with CLEANUP(bytes_free) = BYTES_EMPTY;
    if (ring)
        bytes_append_format(&with, ring_format, values[LIMIT], ring);
    bytes_append_format(out, take_format, values[PENDING], values[NEXT], values[LIMIT],
                        values[LANES_OF], values[SNAPSHOT], values[UNTIL], bytes_text(&with),
                        ring ? ring_columns : "NULL, NULL, NULL");
    out->failed |= with.failed;
}

static void alone_append(unsigned ring, const char *limit, struct bytes *out)
{
    bytes_append_format(out, alone_format, limit, ring);
}

/* Which statement it was last prepared for, with one more, so that 0 is none. */
static unsigned *prepared_for(struct db_connection *connection, const struct take *take)
{
    return &connection->takes[take->ring_alone ? 2 : take->ring ? 1 : 0];
}

static bool is_prepared(struct db_connection *connection, const struct take *take)
{
    return *prepared_for(connection, take) == take->ring + 1;
}

#define NAME_SIZE 32

static const char *name_of(const struct take *take, char ret_name[static NAME_SIZE])
{
    const char *format = take->ring_alone ? "larder_ring_%u"
                         : take->ring     ? "larder_take_%u"
                                          : "larder_take";
    snprintf(ret_name, NAME_SIZE, format, take->ring);
    return ret_name;
}

static void prepare_append(const struct take *take, struct bytes *out)
{
    static const char *const dollars[] = {"$1", "$2", "$3", "$4", "$5", "$6"};
    char name[NAME_SIZE];
    bytes_append_format(out, "PREPARE %s (", name_of(take, name));
    if (take->ring_alone) {
        bytes_append_text(out, "pg_catalog.int8) AS ");
        alone_append(take->ring, "$1", out);
        return;
    }
    bytes_append_text(out, "pg_catalog.xid8[], pg_catalog.xid8, pg_catalog.int8, "
                           "pg_catalog.int2[], pg_catalog.pg_snapshot, pg_catalog.xid8) AS ");
    statement_append(take->ring, dollars, out);
}

/* Planning takes ten times as long as looking, so a session of our own plans once. */
static bool prepare(struct db_connection *connection, const struct take *take,
                    struct db_failure *failure)
{
    struct bytes sql CLEANUP(bytes_free) = BYTES_EMPTY;
    if (connection->settings->transaction_pooling || is_prepared(connection, take))
        return true;
    prepare_append(take, &sql);
    if (sql.failed)
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    if (!look_command(connection, sql.data, take->timeout, failure))
        return false;
    *prepared_for(connection, take) = take->ring + 1;
    return true;
}

static void all_append(const struct take *take, bool prepared, struct bytes *out)
{
    struct bytes pending CLEANUP(bytes_free) = BYTES_EMPTY, next CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes snapshot CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes until CLEANUP(bytes_free) = BYTES_EMPTY;
    char most[16], name[NAME_SIZE];
    bytes_append_format(&pending, "'{%s}'::pg_catalog.xid8[]",
                        take->position ? bytes_text(&take->position->pending) : "");
    bytes_append_format(&next, "'%" PRIu64 "'::pg_catalog.xid8",
                        take->position ? take->position->next : take->from);
    bytes_append_format(&until, take->position ? "NULL" : "'%" PRIu64 "'::pg_catalog.xid8",
                        take->until);
    bytes_append_format(&snapshot, take->snapshot.size ? "'%.*s'::pg_catalog.pg_snapshot" : "NULL",
                        (int)take->snapshot.size, take->snapshot.data);
    snprintf(most, sizeof most, "%d", take->limit);
    const char *const values[] = {bytes_text(&pending), bytes_text(&next),     most,
                                  take->lanes,          bytes_text(&snapshot), bytes_text(&until)};
    if (prepared)
        bytes_append_format(out, "EXECUTE %s(%s, %s, %s, %s, %s, %s)", name_of(take, name),
                            values[PENDING], values[NEXT], values[LIMIT], values[LANES_OF],
                            values[SNAPSHOT], values[UNTIL]);
    else
        statement_append(take->ring, values, out);
    out->failed |= pending.failed || next.failed || snapshot.failed || until.failed;
}

static void ring_append(const struct take *take, bool prepared, struct bytes *out)
{
    char most[16], name[NAME_SIZE];
    snprintf(most, sizeof most, "%d", take->limit);
    if (prepared)
        bytes_append_format(out, "EXECUTE %s(%s)", name_of(take, name), most);
    else
        alone_append(take->ring, most, out);
}

bool take_text(struct db_connection *connection, const struct take *take, struct bytes *out,
               struct db_failure *failure)
{
    if (!prepare(connection, take, failure))
        return false;
    (take->ring_alone ? ring_append : all_append)(take, is_prepared(connection, take), out);
    return out->failed ? db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory") : true;
}

bool take_find_ring(struct db_connection *connection, int64_t timeout, unsigned *ret_ring,
                    struct db_failure *failure)
{
    PGresult *rows = NULL;
    if (!look_rows(connection, find_ring, timeout, &rows, failure))
        return false;
    *ret_ring = (unsigned)strtoul(PQgetvalue(rows, 0, 0), NULL, 10);
    PQclear(rows);
    return true;
}
