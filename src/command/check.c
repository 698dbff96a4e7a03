#include <stdio.h>

#include "auth/algorithm.h"
#include "command/command.h"
#include "command/folder.h"
#include "command/slips.h"

/* What a note says behind the name, and what to do. */
static const char *const hazard_words[] = {
    [HAZARD_FUNCTION] = "may read tables that PostgreSQL doesn't tell of; add @depends or @tags "
                        "for what it reads",
    [HAZARD_CLOCK] = "makes the answer depend on the time it was made; write :now or :today, "
                     "or keep the ttl short",
    [HAZARD_LITERAL] = "is read once, when the statement is prepared, and then stays the same; "
                       "write :today or :now, or current_date, now()",
    [HAZARD_RANDOM] = "gives another answer each time; keep the ttl short or leave @cache out",
    [HAZARD_FOREIGN] = "is a foreign table, whose changes are made elsewhere; keep the ttl "
                       "short, or add @tags and purge them",
    [HAZARD_SETTING] = "depends on the session; what it gives is kept for all",
    [HAZARD_UNWATCHED] = "no triggers for what the route reads, so changes are not heard of; "
                         "run \"larder install\"",
    [HAZARD_CATALOG] = "can have no triggers, so its changes are not heard of; keep the ttl "
                       "short, or add @tags and purge them",
    [HAZARD_REFUSED] = "so it is not known what the route reads; add @tags, or let the role "
                       "create temporary tables in the database",
};

static void print_note(const struct route *route, const char *names, enum hazard kind)
{
    printf("%s:%u: note: %s%s %s\n", route->file, route->statement.line, names,
           kind == HAZARD_REFUSED || kind == HAZARD_UNWATCHED ? ":" : "", hazard_words[kind]);
}

/* One note for all tables that wait for `larder install`. */
static void print_unwatched(const struct route *route, const struct depends *depends)
{
    struct bytes names CLEANUP(bytes_free) = BYTES_EMPTY;
    for (size_t i = 0; i < depends->hazard_count; i++)
        if (depends->hazards[i].kind == HAZARD_UNWATCHED)
            bytes_append_format(&names, "%s%s", names.size ? ", " : "", depends->hazards[i].name);
    if (names.size)
        print_note(route, bytes_text(&names), HAZARD_UNWATCHED);
}

/* Of a route that is kept: of the others nothing can be out of date. */
static void print_hazards(const struct route *route, const struct learned *learned)
{
    const struct depends *depends = learned ? learned->depends : NULL;
    if (!depends || (!route->cache.present && !route->nginx_ttl))
        return;
    for (size_t i = 0; i < depends->hazard_count; i++)
        if (depends->hazards[i].kind != HAZARD_UNWATCHED)
            print_note(route, depends->hazards[i].name, depends->hazards[i].kind);
    print_unwatched(route, depends);
}

/* PostgreSQL prepares what the role may not run. */
static void print_refusal(const struct route *route, const char *refusal)
{
    if (refusal)
        printf("%s:%u: note: PostgreSQL: %s; grant it, or the answer is 500 where responders ask "
               "as the same role\n",
               route->file, route->statement.line, refusal);
}

/* Where an index can't serve the order of a route's pages. */
static void print_pages(const struct route *route, const struct learned *learned)
{
    for (size_t i = 0; learned && i < route->page.column_count; i++)
        if (learned->page.nullable[i])
            printf("%s:%u: note: @page by=%.*s may be NULL for all that PostgreSQL tells, so an "
                   "index may not serve its pages; take a column that is NOT NULL in its table, "
                   "in a statement without outer joins\n",
                   route->file, route->statement.line, SPAN_PRINTF(route->page.columns[i].name));
}

/*
 * Who may take the roles of all clients should not have their rights before: a route without rls
 * would give everybody what policies give one.
 */
static void print_inherited(const struct command_folder *folder)
{
    const struct route *with = NULL, *without = NULL;
    for (size_t i = 0; i < route_table_count(folder->table); i++) {
        const struct route *route = route_table_at(folder->table, i);
        if (route->auth.rls && !with)
            with = route;
        else if (!route->auth.rls && route->statement.sql.size)
            without = route;
    }
    if (with && without && folder->roles)
        printf("%s:%u: note: %s has the rights of %s without taking the role, so routes without "
               "rls have them too; ALTER ROLE %s NOINHERIT, from PostgreSQL 16 on GRANT ... WITH "
               "INHERIT FALSE\n",
               with->file, with->line, folder->role, folder->roles, folder->role);
}

/* Responders without tokens refuse such routes, and to start; once for all of them. */
static void print_tokens(const struct options *options, const struct command_folder *folder)
{
    const struct route *first = NULL;
    size_t count = 0;
    for (size_t i = 0; i < route_table_count(folder->table); i++) {
        const struct route *route = route_table_at(folder->table, i);
        count += route->auth.kind != AUTH_NONE;
        if (!first && count)
            first = route;
    }
    if (first && options_number(options, OPTION_JWT_ALG) == AUTH_OFF)
        printf("%s:%u: note: %zu route%s @auth, but LARDER_JWT_ALG is off: with these settings no "
               "responder starts\n",
               first->file, first->line, count, count == 1 ? " has" : "s have");
}

/* Routes of good files that PostgreSQL, where it was asked, takes too. */
static size_t good_count(const struct command_folder *folder)
{
    size_t good = 0;
    for (size_t i = 0; i < route_table_count(folder->table); i++)
        good +=
            folder->learned[i] ||
            (folder->asked != ASKED_YES && route_reads(route_table_at(folder->table, i), NULL)) ||
            route_table_at(folder->table, i)->statement.sql.size == 0;
    return good;
}

/* Where the database has not the module there is nothing to tell. */
static void print_module(const struct command_folder *folder)
{
    if (folder->module_use == MODULE_USED)
        printf("row triggers: by the module\n");
    else if (folder->module_use == MODULE_UNUSED)
        printf("row triggers: in PL/pgSQL, though the database has the module; "
               "\"larder install\" uses it, or says why not\n");
}

static void print_summary(const struct command_folder *folder)
{
    size_t routes = good_count(folder);
    size_t faults = folder->faults.count;
    printf("%zu route%s without fault, %zu fault%s", routes, routes == 1 ? "" : "s", faults,
           faults == 1 ? "" : "s");
    if (folder->asked == ASKED_NOT)
        printf("; PostgreSQL was not asked (PGHOST, PGDATABASE, … say where it is)");
    printf("\n");
}

int command_check(const struct options *options, int count, char **arguments)
{
    struct command_folder folder;
    int status = command_folder_begin(options, count, arguments, NULL, NULL, &folder);
    if (status)
        return status;
    for (size_t i = 0; i < folder.faults.count; i++)
        fault_print(&folder.faults.faults[i], stdout);
    for (size_t i = 0; i < route_table_count(folder.table); i++) {
        print_hazards(route_table_at(folder.table, i), folder.learned[i]);
        print_pages(route_table_at(folder.table, i), folder.learned[i]);
        slips_print(folder.table, route_table_at(folder.table, i), folder.faults.count == 0);
        print_refusal(route_table_at(folder.table, i), folder.refusals[i]);
    }
    print_inherited(&folder);
    print_tokens(options, &folder);
    print_module(&folder);
    if (folder.asked == ASKED_FAILED)
        fprintf(stderr, "larder check: PostgreSQL was not asked: %s\n", folder.failure.message);
    print_summary(&folder);
    bool good = folder.faults.count == 0 && folder.asked != ASKED_FAILED;
    command_folder_close(&folder);
    return good ? 0 : 1;
}
