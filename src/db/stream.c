#include "db/stream.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "db/cancel.h"
#include "db/pool_use.h"
#include "db/prepared.h"
#include "db/write.h"

/* libpq keeps a buffer that a row made larger than this. */
#define ROW_KEEP ((size_t)1024 * 1024)

enum state {
    STATE_ASKED, /* the statement was sent, nothing came back */
    STATE_ROWS,
    STATE_ENDING, /* the last row was taken, the server's word on the whole was not */
    STATE_OVER,   /* nothing is under way on the connection, or it is lost */
};

struct db_stream {
    struct db_pool *pool;
    struct db_connection *connection;
    enum state state;
    bool writing; /* libpq still holds a part of the statement */
    char *row;    /* libpq's */
    bool worn;    /* a row was so large that libpq's buffer grew for it */
    bool failed;
    struct db_failure failure; /* … and how */
};

/* The session is no member of the identity's role, or there is none of that name. */
static bool identity_refused(const struct db_connection *connection,
                             const struct db_stream_statement *statement,
                             const struct db_failure *failure)
{
    return statement->identity && connection->answered == 2 &&
           (strcmp(failure->sqlstate, "22023") == 0 || strcmp(failure->sqlstate, "42501") == 0);
}

static bool send_plain(PGconn *handle, const char *sql, int count, const char *const *values)
{
    return PQsendQueryParams(handle, sql, count, NULL, values, NULL, NULL, 0);
}

static bool send_identity(PGconn *handle, const struct db_identity *identity)
{
    if (!identity)
        return true;
    const char *const values[] = {identity->role, identity->claims};
    return send_plain(handle, db_identity_sql, 2, values);
}

/* Nothing is prepared by name, so PgBouncer may stand between. */
static bool transaction_begin(struct db_connection *connection,
                              const struct db_stream_statement *statement,
                              struct db_failure *failure)
{
    char limit[80];
    PGconn *handle = connection->handle;
    PGresult *rows = NULL;
    int64_t deadline = clock_monotonic() + statement->begin_timeout;
    snprintf(limit, sizeof limit, "SET LOCAL statement_timeout = %" PRId64,
             db_milliseconds(statement->timeout));
    if (!PQenterPipelineMode(handle) || !send_plain(handle, "BEGIN READ ONLY", 0, NULL) ||
        !send_plain(handle, limit, 0, NULL) || !send_identity(handle, statement->identity) ||
        (statement->settings &&
         !send_plain(handle, statement->settings, statement->value_count, statement->values)) ||
        !PQpipelineSync(handle))
        return db_lost(connection, failure);
    bool begun = db_round_trip(connection, deadline, &rows, failure);
    PQclear(rows);
    if (begun && PQexitPipelineMode(handle))
        return true;
    if (begun)
        return db_lost(connection, failure);
    if (identity_refused(connection, statement, failure))
        failure->kind = DB_FAILURE_FORBIDDEN;
    db_pipeline_end(connection, deadline);
    return false;
}

static bool turn_come(struct db_connection *connection, const struct db_guest *guest,
                      struct db_failure *failure)
{
    if (!guest->turn || guest->turn(guest->context))
        return true;
    db_pipeline_end(connection, clock_monotonic() + DB_GRACE);
    return db_failure_set(failure, DB_FAILURE_BUSY, "whoever waited for his turn has left");
}

static bool begin(struct db_connection *connection, const struct db_stream_statement *statement,
                  struct db_failure *failure)
{
    return transaction_begin(connection, statement, failure) &&
           turn_come(connection, &statement->guest, failure) &&
           (PQsendQuery(connection->handle, statement->copy) || db_lost(connection, failure));
}

/* On one connection; *ret_lost: it was lost under it, and another may do. */
static bool open_once(struct db_stream *stream, enum db_wanted wanted,
                      const struct db_stream_statement *statement, bool *ret_lost,
                      struct db_failure *failure)
{
    *ret_lost = false;
    if (!db_pool_take_for(stream->pool, wanted, &statement->guest, &stream->connection, failure))
        return false;
    stream->connection->touched = !statement->plain;
    if (begin(stream->connection, statement, failure))
        return true;
    *ret_lost = !db_usable(stream->connection) && failure->kind == DB_FAILURE_UNAVAILABLE;
    db_pool_give(stream->pool, stream->connection);
    return false;
}

bool db_stream_open(struct db_pool *pool, const struct db_stream_statement *statement,
                    struct db_stream **ret_stream, struct db_failure *failure)
{
    struct db_stream *stream = calloc(1, sizeof *stream);
    bool lost = false;
    if (!stream)
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    stream->pool = pool;
    if (open_once(stream, DB_WANTED_ANY, statement, &lost, failure) ||
        (lost && open_once(stream, DB_WANTED_FRESH, statement, &lost, failure))) {
        *ret_stream = stream;
        return true;
    }
    free(stream);
    return false;
}

enum waited { WAITED_READY, WAITED_LATE, WAITED_LEFT };

static enum waited wait_for_server(const struct db_stream *stream, int peer, int64_t wait)
{
    short events = stream->writing ? POLLIN | POLLOUT : POLLIN;
    struct pollfd polled[] = {{.fd = PQsocket(stream->connection->handle), .events = events},
                              {.fd = peer, .events = POLLRDHUP}};
    int ready = poll(polled, ARRAY_COUNT(polled), wait > 0 ? (int)((wait + 999) / 1000) : 0);
    if (ready > 0)
        return polled[0].revents ? WAITED_READY : WAITED_LEFT;
    return WAITED_LATE;
}

/* What a look without waiting found. */
enum found {
    FOUND_ROW,
    FOUND_NOTHING, /* yet */
    FOUND_OVER,
};

static enum found over(struct db_stream *stream)
{
    stream->state = STATE_OVER;
    return FOUND_OVER;
}

static enum found lost(struct db_stream *stream)
{
    if (!stream->failed)
        (void)db_lost(stream->connection, &stream->failure);
    stream->connection->dead = true;
    stream->failed = true;
    return over(stream);
}

static void result_take(struct db_stream *stream, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COPY_OUT)
        stream->state = STATE_ROWS;
    else if (status != PGRES_COMMAND_OK && !stream->failed) {
        db_failure_of_result(result, &stream->failure);
        stream->failed = true;
    }
    PQclear(result);
}

/* What the server says before and after the rows. */
static enum found look_around(struct db_stream *stream)
{
    PGconn *handle = stream->connection->handle;
    int left = PQflush(handle);
    if (left < 0)
        return lost(stream);
    stream->writing = left > 0;
    while (stream->state != STATE_ROWS && !PQisBusy(handle)) {
        PGresult *result = PQgetResult(handle);
        if (!result)
            return PQstatus(handle) == CONNECTION_BAD ? lost(stream) : over(stream);
        result_take(stream, result);
    }
    return FOUND_NOTHING;
}

static enum found look_for_row(struct db_stream *stream, struct span *ret_row)
{
    int size = PQgetCopyData(stream->connection->handle, &stream->row, true);
    if (size > 0) {
        *ret_row = (struct span){.data = stream->row, .size = (size_t)size};
        stream->worn = stream->worn || (size_t)size > ROW_KEEP;
        return FOUND_ROW;
    }
    if (size == -2)
        return lost(stream);
    if (size == -1) {
        stream->state = STATE_ENDING;
        return look_around(stream);
    }
    return FOUND_NOTHING;
}

static enum found look(struct db_stream *stream, struct span *ret_row)
{
    enum found found = FOUND_OVER;
    if (stream->state == STATE_ASKED || stream->state == STATE_ENDING)
        found = look_around(stream);
    if (stream->state == STATE_ROWS)
        found = look_for_row(stream, ret_row);
    return found;
}

static enum db_stream_event event_over(const struct db_stream *stream, struct db_failure *failure)
{
    if (!stream->failed)
        return DB_STREAM_END;
    if (failure)
        *failure = stream->failure;
    return DB_STREAM_FAILED;
}

enum db_stream_event db_stream_next(struct db_stream *stream, int peer, int64_t wait,
                                    struct span *ret_row, struct db_failure *failure)
{
    PQfreemem(stream->row);
    stream->row = NULL;
    for (;;) {
        enum found found = look(stream, ret_row);
        if (found == FOUND_ROW)
            return DB_STREAM_ROW;
        if (found == FOUND_OVER)
            return event_over(stream, failure);
        enum waited waited = wait_for_server(stream, peer, wait);
        if (waited != WAITED_READY)
            return waited == WAITED_LEFT ? DB_STREAM_LEFT : DB_STREAM_PAUSE;
        if (!PQconsumeInput(stream->connection->handle))
            lost(stream);
    }
}

/* Takes what is still on its way; false: the end did not come in time. */
static bool rest_take(struct db_stream *stream, int64_t deadline)
{
    struct span row;
    for (int64_t left = DB_GRACE; left > 0; left = deadline - clock_monotonic()) {
        enum db_stream_event event = db_stream_next(stream, -1, left, &row, NULL);
        if (event == DB_STREAM_END || event == DB_STREAM_FAILED)
            return true;
    }
    return false;
}

static void stream_stop(struct db_stream *stream)
{
    int64_t deadline = clock_monotonic() + DB_GRACE;
    struct db_cancel *cancel = db_cancel_begin(stream->connection);
    bool ended = rest_take(stream, deadline);
    bool made = db_cancel_end(cancel, deadline);
    if (!ended || !made)
        stream->connection->dead = true;
}

void db_stream_close(struct db_stream *stream)
{
    if (!stream)
        return;
    if (stream->state != STATE_OVER)
        stream_stop(stream);
    PQfreemem(stream->row);
    db_pipeline_end(stream->connection, clock_monotonic() + DB_GRACE);
    if (stream->worn)
        stream->connection->dead = true;
    db_pool_give(stream->pool, stream->connection);
    free(stream);
}
