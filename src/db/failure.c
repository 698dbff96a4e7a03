#include "db/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The first row that the SQLSTATE begins with. */
static const struct sqlstate_row {
    const char *prefix;
    enum db_failure_kind kind;
} sqlstate_rows[] = {
    {"22012", DB_FAILURE_STATEMENT},   /* division_by_zero: the statement's own doing */
    {"23514", DB_FAILURE_VALUE},       /* check_violation: a domain's, where nothing is written */
    {"53100", DB_FAILURE_STATEMENT},   /* disk_full: a temporary file */
    {"53400", DB_FAILURE_STATEMENT},   /* configuration_limit_exceeded: temp_file_limit */
    {"57014", DB_FAILURE_TIMEOUT},     /* query_canceled */
    {"55P03", DB_FAILURE_TIMEOUT},     /* lock_not_available: lock_timeout */
    {"25006", DB_FAILURE_READ_ONLY},   /* read_only_sql_transaction */
    {"42501", DB_FAILURE_FORBIDDEN},   /* insufficient_privilege */
    {"26000", DB_FAILURE_STALE},       /* invalid_sql_statement_name */
    {"0A000", DB_FAILURE_STALE},       /* "cached plan must not change result type" */
    {"42P05", DB_FAILURE_STALE},       /* duplicate_prepared_statement */
    {"54000", DB_FAILURE_TOO_LARGE},   /* program_limit_exceeded */
    {"40001", DB_FAILURE_RETRY},       /* serialization_failure */
    {"40P01", DB_FAILURE_RETRY},       /* deadlock_detected */
    {"25P03", DB_FAILURE_UNAVAILABLE}, /* idle_in_transaction_session_timeout: the session's end */
    {"57P0", DB_FAILURE_UNAVAILABLE},  /* shutting down, starting up, dropped database */
    {"53", DB_FAILURE_UNAVAILABLE},    /* insufficient resources */
    {"08", DB_FAILURE_UNAVAILABLE},    /* connection exceptions; PgBouncer's too */
    {"22", DB_FAILURE_VALUE},          /* data exceptions */
    {"23", DB_FAILURE_CONSTRAINT},     /* integrity constraint violations */
    {"44", DB_FAILURE_CONSTRAINT},     /* a view's WITH CHECK OPTION */
};

enum db_failure_kind db_failure_of_sqlstate(const char *sqlstate)
{
    for (size_t i = 0; i < ARRAY_COUNT(sqlstate_rows); i++)
        if (strncmp(sqlstate, sqlstate_rows[i].prefix, strlen(sqlstate_rows[i].prefix)) == 0)
            return sqlstate_rows[i].kind;
    return DB_FAILURE_STATEMENT;
}

#define RAISE_EXCEPTION "P0001"

unsigned db_failure_raised_status(const char *sqlstate)
{
    unsigned status = 0;
    if (strcmp(sqlstate, RAISE_EXCEPTION) == 0)
        return 400;
    if (strncmp(sqlstate, "PT", 2) != 0)
        return 0;
    for (const char *digit = sqlstate + 2; *digit; digit++) {
        if (*digit < '0' || *digit > '9')
            return 0;
        status = status * 10 + (unsigned)(*digit - '0');
    }
    return status >= 400 && status <= 599 ? status : 0;
}

/* The first row that the SQLSTATE begins with; what has none is the statement's own. */
static const struct servers_row {
    const char *prefix;
    bool servers;
} servers_rows[] = {
    {"53400", false}, /* configuration_limit_exceeded: the statement's own temporary files */
    {"53", true},     /* disk_full, out_of_memory, too_many_connections */
    {"57P0", true},   /* admin_shutdown, crash_shutdown, cannot_connect_now, database_dropped */
    {"58000", true},  /* system_error */
    {"58030", true},  /* io_error */
    {"25006", true},  /* read_only_sql_transaction: a standby, until it is promoted */
    {"08", true},     /* connection exceptions; PgBouncer's too */
};

bool db_failure_is_servers(const struct db_failure *failure)
{
    for (size_t i = 0; i < ARRAY_COUNT(servers_rows); i++)
        if (strncmp(failure->sqlstate, servers_rows[i].prefix, strlen(servers_rows[i].prefix)) == 0)
            return servers_rows[i].servers;
    return false;
}

bool db_failure_is_refusal(const struct db_failure *failure)
{
    switch (failure->kind) {
    case DB_FAILURE_UNAVAILABLE:
    case DB_FAILURE_TIMEOUT:
    case DB_FAILURE_MEMORY:
    case DB_FAILURE_BUSY:
    case DB_FAILURE_RETRY:
        return false;
    default:
        return failure->sqlstate[0] != '\0';
    }
}

bool db_failure_is_lock(const struct db_failure *failure)
{
    return strcmp(failure->sqlstate, "55P03") == 0;
}

bool db_failure_set(struct db_failure *failure, enum db_failure_kind kind, const char *format, ...)
{
    if (!failure)
        return false;
    *failure = (struct db_failure){.kind = kind};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure->message, sizeof failure->message, format, arguments);
    va_end(arguments);
    return false;
}
