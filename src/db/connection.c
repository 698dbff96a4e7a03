#include "db/round.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct db_settings db_settings_of(const struct options *options, int64_t statement_timeout)
{
    return (struct db_settings){.transaction_pooling =
                                    options_number(options, OPTION_DB_POOLING) == 1,
                                .statement_timeout = statement_timeout};
}

enum connecting { CONNECTING_DONE, CONNECTING_REFUSED, CONNECTING_LATE };

static enum connecting connect_poll(PGconn *handle, int64_t deadline)
{
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    while (status != PGRES_POLLING_OK) {
        if (status == PGRES_POLLING_FAILED)
            return CONNECTING_REFUSED;
        if (!db_socket_wait(handle, status == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline))
            return CONNECTING_LATE;
        status = PQconnectPoll(handle);
    }
    return CONNECTING_DONE;
}

static void notice_ignore(void *argument, const PGresult *notice)
{
    (void)argument;
    (void)notice;
}

static bool standby_told(const struct db_connection *connection)
{
    const char *told = PQparameterStatus(connection->handle, "in_hot_standby");
    return told && strcmp(told, "on") == 0;
}

/* In route files and in our own statements a backslash stands for itself. */
static bool strings_conform(const struct db_connection *connection, struct db_failure *failure)
{
    const char *told = PQparameterStatus(connection->handle, "standard_conforming_strings");
    if (!told || strcmp(told, "off") != 0)
        return true;
    return db_failure_set(failure, DB_FAILURE_UNAVAILABLE,
                          "standard_conforming_strings is off for the role \"%s\" or its database;"
                          " Larder needs it on",
                          PQuser(connection->handle));
}

static bool session_prepare(struct db_connection *connection, int64_t deadline,
                            struct db_failure *failure)
{
    return connection->settings->transaction_pooling ||
           db_session_begin(connection, connection->settings->statement_timeout, deadline, failure);
}

static bool connect_handle(struct db_connection *connection, int64_t deadline,
                           struct db_failure *failure)
{
    const char *const keywords[] = {"client_encoding", "fallback_application_name", NULL};
    const char *const values[] = {"UTF8", "larder", NULL};
    connection->handle = PQconnectStartParams(keywords, values, 0);
    if (!connection->handle)
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    if (PQstatus(connection->handle) == CONNECTION_BAD)
        return db_lost(connection, failure);
    enum connecting outcome = connect_poll(connection->handle, deadline);
    if (outcome == CONNECTING_REFUSED)
        return db_lost(connection, failure);
    if (outcome == CONNECTING_LATE)
        return db_failure_set(failure, DB_FAILURE_UNAVAILABLE,
                              "PostgreSQL did not accept the connection in time");
    PQsetnonblocking(connection->handle, 1);
    PQsetNoticeReceiver(connection->handle, notice_ignore, NULL);
    connection->standby = standby_told(connection);
    return strings_conform(connection, failure) && session_prepare(connection, deadline, failure);
}

bool db_connect(const struct db_settings *settings, int64_t deadline,
                struct db_connection **ret_connection, struct db_failure *failure)
{
    struct db_connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    connection->settings = settings;
    if (!connect_handle(connection, deadline, failure)) {
        db_disconnect(connection);
        if (failure && failure->kind == DB_FAILURE_TIMEOUT)
            failure->kind = DB_FAILURE_UNAVAILABLE;
        return false;
    }
    *ret_connection = connection;
    return true;
}

void db_disconnect(struct db_connection *connection)
{
    if (!connection)
        return;
    PQfinish(connection->handle);
    free(connection);
}

bool db_usable(const struct db_connection *connection)
{
    return !connection->dead;
}

bool db_standby(const struct db_connection *connection)
{
    return connection->recovering || (connection->standby && standby_told(connection));
}

bool db_idle_alive(struct db_connection *connection)
{
    struct pollfd pollfd = {.fd = PQsocket(connection->handle), .events = POLLIN};
    if (connection->dead)
        return false;
    if (poll(&pollfd, 1, 0) <= 0)
        return true;
    /* A notice is harmless; the farewell of a server that shuts down is not. */
    if (!PQconsumeInput(connection->handle) || PQstatus(connection->handle) == CONNECTION_BAD)
        return false;
    return poll(&pollfd, 1, 0) <= 0;
}
