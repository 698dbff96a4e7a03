#include <stdio.h>

#include "command/command.h"
#include "command/folder.h"

static void print_fault(const struct fault *fault)
{
    printf("%s", fault->file);
    if (fault->line)
        printf(":%u", fault->line);
    if (fault->column)
        printf(":%u", fault->column);
    printf(": %s\n", fault->text);
}

static void print_unserved(const struct route *route)
{
    for (size_t i = 0; i < route_unserved_count; i++)
        if (route->unserved & (unsigned)route_unserved_names[i].bit)
            printf("%s:%u: note: %s is not served yet%s\n", route->file, route->line,
                   route_unserved_names[i].word,
                   (unsigned)route_unserved_names[i].bit & UNSERVED_REFUSED
                       ? ": the route answers 501"
                       : "");
}

/* Routes of good files that PostgreSQL, where it was asked, takes too. */
static size_t good_count(const struct command_folder *folder)
{
    size_t good = 0;
    for (size_t i = 0; i < route_table_count(folder->table); i++)
        good += folder->asked != ASKED_YES || folder->learned[i] ||
                route_table_at(folder->table, i)->statement.sql.size == 0;
    return good;
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
    int status = command_folder_begin(options, count, arguments, &folder);
    if (status)
        return status;
    for (size_t i = 0; i < folder.faults.count; i++)
        print_fault(&folder.faults.faults[i]);
    for (size_t i = 0; i < route_table_count(folder.table); i++)
        print_unserved(route_table_at(folder.table, i));
    if (folder.asked == ASKED_FAILED)
        fprintf(stderr, "larder check: PostgreSQL was not asked: %s\n", folder.failure.message);
    print_summary(&folder);
    bool good = folder.faults.count == 0 && folder.asked != ASKED_FAILED;
    command_folder_close(&folder);
    return good ? 0 : 1;
}
