#include "command/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "db/rights.h"
#include "serve/folder.h"

#define CONNECT_TIMEOUT (5 * INT64_C(1000000))

/* Any of these says that a database is meant. */
static const char *const database_variables[] = {"PGHOST",     "PGHOSTADDR", "PGPORT",
                                                 "PGDATABASE", "PGUSER",     "PGSERVICE"};

static bool database_configured(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(database_variables); i++)
        if (getenv(database_variables[i]))
            return true;
    return false;
}

static bool ask(struct command_folder *folder, struct db_connection *connection)
{
    struct session_look look = {0};
    for (size_t i = 0; i < route_table_count(folder->table); i++) {
        const struct route *route = route_table_at(folder->table, i);
        if (!route->statement.sql.size || !route_reads(route, NULL))
            continue;
        if (!learn_route(connection, route, &look, folder->arena, &folder->faults,
                         &folder->learned[i], &folder->failure))
            return false;
        if (folder->learned[i])
            folder->refusals[i] =
                rights_refusal(connection, route, folder->learned[i], folder->arena);
    }
    return true;
}

/* What PostgreSQL need not be asked for. */
static void check_reads(struct command_folder *folder)
{
    for (size_t i = 0; i < route_table_count(folder->table); i++)
        route_reads(route_table_at(folder->table, i), &folder->faults);
}

static void ask_database(const struct options *options, struct command_folder *folder)
{
    const struct db_settings settings = db_settings_of(options, CONNECT_TIMEOUT);
    struct db_connection *connection;
    folder->asked = ASKED_FAILED;
    if (!db_connect(&settings, clock_monotonic() + CONNECT_TIMEOUT, &connection, &folder->failure))
        return;
    if (ask(folder, connection))
        folder->asked = ASKED_YES;
    rights_inherited(connection, folder->arena, &folder->role, &folder->roles);
    folder->module_use = module_use(connection);
    db_disconnect(connection);
}

void command_folder_close(struct command_folder *folder)
{
    route_table_unref(folder->table);
    fault_list_free(&folder->faults);
    arena_free(folder->arena);
}

bool command_folder_open(const struct options *options, const char *path, bool offline,
                         struct command_folder *ret_folder)
{
    struct command_folder folder = {.arena = arena_new()};
    struct route_source *sources;
    size_t count;
    folder.faults.arena = folder.arena;
    bool good =
        folder.arena && route_folder_read(path, folder.arena, &folder.faults, &sources, &count);
    if (good) {
        folder.table = route_table_new(sources, count, true, &folder.faults);
        size_t routes = folder.table ? route_table_count(folder.table) : 0;
        folder.learned = arena_array(folder.arena, routes, sizeof *folder.learned);
        folder.refusals = arena_array(folder.arena, routes, sizeof *folder.refusals);
    }
    if (!folder.table || !folder.learned || !folder.refusals) {
        command_folder_close(&folder);
        return false;
    }
    check_reads(&folder);
    if (!offline && database_configured())
        ask_database(options, &folder);
    fault_sort(&folder.faults);
    *ret_folder = folder;
    return true;
}

struct folder_call {
    const char *flag; /* the word allowed beside --offline; null: none */
    const char *path;
    bool offline;
    bool flagged;
};

static bool arguments_read(int count, char **arguments, struct folder_call *call)
{
    for (int i = 1; i < count; i++) {
        if (strcmp(arguments[i], "--offline") == 0) {
            call->offline = true;
        } else if (call->flag && strcmp(arguments[i], call->flag) == 0) {
            call->flagged = true;
        } else if (arguments[i][0] == '-' || call->path) {
            fprintf(stderr, "larder %s: \"%s\" is not allowed; allowed: %s%s%s[--offline] [DIR]\n",
                    arguments[0], arguments[i], call->flag ? "[" : "", call->flag ? call->flag : "",
                    call->flag ? "] " : "");
            return false;
        } else {
            call->path = arguments[i];
        }
    }
    return true;
}

int command_folder_begin(const struct options *options, int count, char **arguments,
                         const char *flag, bool *ret_flag, struct command_folder *ret_folder)
{
    struct folder_call call = {.flag = flag};
    if (!arguments_read(count, arguments, &call))
        return 2;
    if (ret_flag)
        *ret_flag = call.flagged;
    if (command_folder_open(options, call.path ? call.path : options_text(options, OPTION_ROUTES),
                            call.offline, ret_folder))
        return 0;
    fprintf(stderr, "larder %s: out of memory\n", arguments[0]);
    return 1;
}
