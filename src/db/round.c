#include "db/round.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* As much as there is room for; a character of UTF-8 is never cut. */
static void text_copy(char ret_text[static ERROR_TEXT_MAX], const char *text, size_t size)
{
    if (size >= ERROR_TEXT_MAX)
        for (size = ERROR_TEXT_MAX - 1; size > 0 && (text[size] & 0xc0) == 0x80;)
            size--;
    snprintf(ret_text, ERROR_TEXT_MAX, "%.*s", (int)size, text ? text : "");
}

/* libpq ends its messages with a newline and may have several lines: the first says it. */
static void message_copy(struct db_failure *failure, const char *message)
{
    text_copy(failure->message, message, message ? strcspn(message, "\n") : 0);
}

bool db_lost(struct db_connection *connection, struct db_failure *failure)
{
    connection->dead = true;
    if (!failure)
        return false;
    *failure = (struct db_failure){.kind = DB_FAILURE_UNAVAILABLE};
    message_copy(failure, PQerrorMessage(connection->handle));
    return false;
}

static bool given_up(struct db_connection *connection, struct db_failure *failure)
{
    connection->dead = true;
    return db_failure_set(failure, DB_FAILURE_TIMEOUT,
                          "PostgreSQL did not answer in time; the connection was given up");
}

bool db_socket_wait(PGconn *handle, short events, int64_t deadline)
{
    struct pollfd pollfd = {.fd = PQsocket(handle), .events = events};
    for (;;) {
        int ready = poll(&pollfd, 1, clock_remaining_ms(deadline, clock_monotonic()));
        if (ready > 0)
            return true;
        if (ready == 0 || errno != EINTR)
            return false;
    }
}

static bool flush(struct db_connection *connection, int64_t deadline, struct db_failure *failure)
{
    int left;
    while ((left = PQflush(connection->handle)) > 0) {
        if (!db_socket_wait(connection->handle, POLLIN | POLLOUT, deadline))
            return given_up(connection, failure);
        if (!PQconsumeInput(connection->handle))
            return db_lost(connection, failure);
    }
    return left == 0 ? true : db_lost(connection, failure);
}

static bool next_result(struct db_connection *connection, int64_t deadline, PGresult **ret_result,
                        struct db_failure *failure)
{
    while (PQisBusy(connection->handle)) {
        if (!db_socket_wait(connection->handle, POLLIN, deadline))
            return given_up(connection, failure);
        if (!PQconsumeInput(connection->handle))
            return db_lost(connection, failure);
    }
    *ret_result = PQgetResult(connection->handle);
    return true;
}

static bool result_good(const PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_PIPELINE_SYNC:
        return true;
    default:
        return false;
    }
}

static size_t field_number(const PGresult *result, int field)
{
    const char *text = PQresultErrorField(result, field);
    return text ? (size_t)strtoul(text, NULL, 10) : 0;
}

static bool is_of_name(char byte)
{
    return byte == '_' || byte == '$' || (byte >= '0' && byte <= '9') || (byte & 0x80) ||
           ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
}

static void field_copy(const PGresult *result, int field, char ret_name[static DB_NAME_SIZE])
{
    const char *text = PQresultErrorField(result, field);
    snprintf(ret_name, DB_NAME_SIZE, "%s", text ? text : "");
}

/* The table's name as a word of its own. */
static bool names(const char *text, const char *table)
{
    size_t size = strlen(table);
    for (const char *at = text; size && (at = strstr(at, table)); at++) {
        bool begins = at == text || !is_of_name(at[-1]);
        if (begins && !is_of_name(at[size]))
            return true;
    }
    return false;
}

/*
 * Of a foreign key's "Key (a, b)=(1, 2) is …", in whatever language: the columns, and whether what
 * comes behind names the table that has the key.
 */
static void key_copy(const char *detail, struct db_failure *failure)
{
    const char *open = detail ? strchr(detail, '(') : NULL;
    const char *close = open ? strstr(open, ")=(") : NULL;
    if (!close)
        return;
    snprintf(failure->key, sizeof failure->key, "%.*s", (int)(close - open - 1), open + 1);
    failure->key_within = names(strrchr(close, ')'), failure->table);
}

/* What the author of a function says to whoever asks. */
static void raised_copy(const PGresult *result, struct db_failure *failure)
{
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    failure->raised = db_failure_raised_status(failure->sqlstate);
    if (!failure->raised)
        return;
    text_copy(failure->detail, detail, detail ? strlen(detail) : 0);
    text_copy(failure->hint, hint, hint ? strlen(hint) : 0);
}

void db_failure_of_result(const PGresult *result, struct db_failure *failure)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    *failure = (struct db_failure){.kind = DB_FAILURE_UNAVAILABLE};
    message_copy(failure, message ? message : PQresultErrorMessage(result));
    if (!sqlstate)
        return;
    snprintf(failure->sqlstate, sizeof failure->sqlstate, "%s", sqlstate);
    failure->kind = db_failure_of_sqlstate(sqlstate);
    failure->position = field_number(result, PG_DIAG_STATEMENT_POSITION);
    field_copy(result, PG_DIAG_SCHEMA_NAME, failure->schema);
    field_copy(result, PG_DIAG_TABLE_NAME, failure->table);
    field_copy(result, PG_DIAG_CONSTRAINT_NAME, failure->constraint);
    field_copy(result, PG_DIAG_COLUMN_NAME, failure->column);
    key_copy(PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL), failure);
    raised_copy(result, failure);
}

/* The outcome of one round: the last result with rows, or the first failure. */
struct round {
    PGresult *rows;
    unsigned answered, heeded;
    struct db_failure failure;
};

static void round_take(struct round *round, PGresult *result)
{
    round->answered += !round->failure.kind && result_good(result);
    if (!result_good(result)) {
        /* What follows the first failure in a pipeline is only its echo. */
        if (PQresultStatus(result) != PGRES_PIPELINE_ABORTED && !round->failure.kind)
            db_failure_of_result(result, &round->failure);
        PQclear(result);
    } else if (round->heeded && round->answered > round->heeded) {
        PQclear(result);
    } else if (PQresultStatus(result) == PGRES_TUPLES_OK ||
               (PQresultStatus(result) == PGRES_COMMAND_OK &&
                PQresultStatus(round->rows) != PGRES_TUPLES_OK)) {
        PQclear(round->rows);
        round->rows = result;
    } else {
        PQclear(result);
    }
}

typedef void taker(void *context, PGresult *result);

/* Takes results until the connection is idle (two nulls in a row, or a pipeline's sync). */
static bool drain(struct db_connection *connection, int64_t deadline, taker *take, void *context,
                  struct db_failure *failure)
{
    bool pipeline = PQpipelineStatus(connection->handle) != PQ_PIPELINE_OFF;
    for (;;) {
        PGresult *result = NULL;
        if (!next_result(connection, deadline, &result, failure))
            return false;
        if (!result && !pipeline)
            return true;
        if (!result)
            continue;
        bool synced = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
        take(context, result);
        if (synced)
            return true;
    }
}

static void round_take_any(void *context, PGresult *result)
{
    round_take(context, result);
}

bool db_round_trip(struct db_connection *connection, int64_t deadline, PGresult **ret_rows,
                   struct db_failure *failure)
{
    struct round round = {.heeded = connection->heeded};
    connection->heeded = 0;
    if (!flush(connection, deadline, failure) ||
        !drain(connection, deadline, round_take_any, &round, failure)) {
        PQclear(round.rows);
        return false;
    }
    if (PQstatus(connection->handle) == CONNECTION_BAD)
        connection->dead = true;
    connection->answered = round.answered;
    if (round.failure.kind) {
        PQclear(round.rows);
        if (failure)
            *failure = round.failure;
        return false;
    }
    *ret_rows = round.rows;
    return true;
}

struct collecting {
    struct db_replies *replies;
    struct db_failure failure;
};

static bool is_fatal(const PGresult *result)
{
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    return !severity || strcmp(severity, "ERROR") != 0;
}

static void collect(void *context, PGresult *result)
{
    struct collecting *collecting = context;
    struct db_replies *replies = collecting->replies;
    bool good = result_good(result);
    if (good && PQresultStatus(result) != PGRES_PIPELINE_SYNC && !replies->refused &&
        replies->done < replies->count) {
        replies->results[replies->done++] = result;
        if (replies->taken)
            replies->taken(replies->context);
        return;
    }
    /* A result without SQLSTATE is libpq's own word on a lost connection. */
    if (!good && !replies->refused && PQresultErrorField(result, PG_DIAG_SQLSTATE)) {
        db_failure_of_result(result, &collecting->failure);
        replies->refused = true;
        replies->fatal = is_fatal(result);
    }
    PQclear(result);
}

bool db_round_collect(struct db_connection *connection, int64_t deadline,
                      struct db_replies *replies, struct db_failure *failure)
{
    struct collecting collecting = {.replies = replies};
    bool whole = flush(connection, deadline, failure) &&
                 drain(connection, deadline, collect, &collecting, failure);
    if (PQstatus(connection->handle) == CONNECTION_BAD)
        connection->dead = true;
    if (replies->refused && failure)
        *failure = collecting.failure;
    else if (whole && replies->done < replies->count)
        return db_lost(connection, failure);
    return whole && !replies->refused;
}

/* The most that a kept connection's buffer may have held. */
#define BUFFER_KEEP ((int)1024 * 1024)

void db_wear(struct db_connection *connection, const PGresult *rows)
{
    if (rows && PQntuples(rows) > 0 && PQgetlength(rows, 0, 0) > BUFFER_KEEP)
        connection->dead = true;
}
