/*
 * What PostgreSQL says of a statement, and reading results.
 */
#include "db/round.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static bool description_copy(const PGresult *rows, struct db_description *ret_description)
{
    struct db_description copy = {.parameter_count = PQnparams(rows),
                                  .column_count = PQnfields(rows)};
    copy.parameter_types = calloc((size_t)copy.parameter_count + 1, sizeof *copy.parameter_types);
    copy.column_names = calloc((size_t)copy.column_count + 1, sizeof *copy.column_names);
    copy.column_types = calloc((size_t)copy.column_count + 1, sizeof *copy.column_types);
    copy.column_tables = calloc((size_t)copy.column_count + 1, sizeof *copy.column_tables);
    copy.column_numbers = calloc((size_t)copy.column_count + 1, sizeof *copy.column_numbers);
    bool good = copy.parameter_types && copy.column_names && copy.column_types &&
                copy.column_tables && copy.column_numbers;
    for (int i = 0; good && i < copy.parameter_count; i++)
        copy.parameter_types[i] = PQparamtype(rows, i);
    for (int i = 0; good && i < copy.column_count; i++) {
        copy.column_types[i] = PQftype(rows, i);
        copy.column_tables[i] = PQftable(rows, i);
        copy.column_numbers[i] = PQftablecol(rows, i);
        copy.column_names[i] = strdup(PQfname(rows, i));
        good = copy.column_names[i] != NULL;
    }
    if (good)
        *ret_description = copy;
    else
        db_description_free(&copy);
    return good;
}

enum reply { REPLY_PATIENCE, REPLY_PREPARED, REPLY_DESCRIPTION, REPLIES };

/* set_config: SET LOCAL would warn where no BEGIN came before. */
static const char patience_sql[] = "SELECT pg_catalog.set_config('lock_timeout', $1, true)";

static bool describe_send(const struct db_connection *connection, const char *sql,
                          const uint32_t *types, int type_count)
{
    PGconn *handle = connection->handle;
    const char *const values[] = {db_lock_timeout(connection)};
    return PQenterPipelineMode(handle) &&
           PQsendQueryParams(handle, patience_sql, 1, NULL, values, NULL, NULL, 0) &&
           PQsendPrepare(handle, "", sql, type_count, types) &&
           PQsendDescribePrepared(handle, "") && PQpipelineSync(handle);
}

static bool describe_once(struct db_connection *connection, const char *sql, const uint32_t *types,
                          int type_count, int64_t deadline, struct db_description *ret_description,
                          struct db_failure *failure)
{
    PGresult *results[REPLIES];
    struct db_replies replies = {.results = results, .count = REPLIES};
    if (!describe_send(connection, sql, types, type_count))
        return db_lost(connection, failure);
    bool described = db_round_collect(connection, deadline, &replies, failure);
    if (!connection->dead)
        PQexitPipelineMode(connection->handle);
    bool copied = described && description_copy(results[REPLY_DESCRIPTION], ret_description);
    for (size_t i = 0; i < replies.done; i++)
        PQclear(results[i]);
    if (described && !copied)
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    return described;
}

void db_patience_set(struct db_connection *connection, const struct db_patience *patience)
{
    connection->patience = *patience;
}

bool db_patience_lasts(const struct db_connection *connection, int64_t deadline)
{
    const struct db_patience *patience = &connection->patience;
    int64_t now = clock_monotonic();
    return now < deadline && (!patience->deadline || now < patience->deadline) &&
           !(patience->ends && patience->ends(patience->context));
}

const char *db_lock_timeout(const struct db_connection *connection)
{
    return db_patience_lasts(connection, INT64_MAX) ? DB_LOCK_PATIENCE : DB_LOCK_GLANCE;
}

/* A lock was not had in time, and nothing of the session's was lost with it. */
static bool may_try_again(const struct db_connection *connection, const struct db_failure *failure)
{
    return db_failure_is_lock(failure) && db_usable(connection) &&
           PQtransactionStatus(connection->handle) == PQTRANS_IDLE;
}

bool db_describe(struct db_connection *connection, const char *sql, const uint32_t *types,
                 int type_count, int64_t timeout, struct db_description *ret_description,
                 struct db_failure *failure)
{
    int64_t deadline = clock_monotonic() + timeout;
    struct db_failure local = {0};
    do {
        if (describe_once(connection, sql, types, type_count, deadline + DB_GRACE, ret_description,
                          &local))
            return true;
    } while (may_try_again(connection, &local) && db_patience_lasts(connection, deadline));
    if (failure)
        *failure = local;
    return false;
}

void db_description_free(struct db_description *description)
{
    if (!description)
        return;
    free(description->parameter_types);
    free(description->column_types);
    free(description->column_tables);
    free(description->column_numbers);
    for (int i = 0; description->column_names && i < description->column_count; i++)
        free(description->column_names[i]);
    free(description->column_names);
    *description = (struct db_description){0};
}

static const PGresult *raw(const struct db_result *result)
{
    return (const PGresult *)result;
}

void db_result_free(struct db_result *result)
{
    PQclear((PGresult *)result);
}

int db_result_rows(const struct db_result *result)
{
    return result ? PQntuples(raw(result)) : 0;
}

int db_result_columns(const struct db_result *result)
{
    return PQnfields((const PGresult *)result);
}

struct span db_result_value(const struct db_result *result, int row, int column)
{
    if (PQgetisnull(raw(result), row, column))
        return (struct span){0};
    return (struct span){.data = PQgetvalue(raw(result), row, column),
                         .size = (size_t)PQgetlength(raw(result), row, column)};
}
