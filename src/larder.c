/*
 * larder: the command. What it can do is the table of commands.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/standard.h"
#include "command/command.h"
#include "serve/settings.h"

static const struct command commands[] = {
    {"check", command_check, "[--offline] [DIR]",
     "reports every fault of the route files; asks PostgreSQL too where one is configured"},
    {"routes", command_routes, "[--depends] [--offline] [DIR]",
     "prints the routes: method, path, parameters, cache, Cache-Control; or the tables they read"},
    {"install", command_install, "[--print] [--remove] [--replica] [--to ROLE] [--wait DURATION] [DIR]",
     "puts into the database what tells of changes to all that the routes read"},
    {"purge", command_purge, "[--all] [--table TABLE]... [TAG]...",
     "makes the kept answers old that carry a tag, or that depend on a table, or all"},
    {"verify", command_verify, "[--sample N|all] [--rate N] [--every DURATION]",
     "compares kept answers with what PostgreSQL answers now, and reports each that differs"},
    {"stats", command_stats, "[--json]",
     "tells how often each route was asked on this host, how it went and how long it took"},
    {"jobs", command_jobs,
     "list [waiting|later|dead] [--json] | show ID [--json] | retry ID...|--dead | drop "
     "ID...|--dead",
     "tells of the queued jobs, has those that failed tried again, or drops them"},
    {"config", command_config, "[--sample | --manual]",
     "prints every option's value and where it comes from"},
};

static const char foot[] = "\nDIR is a folder of route files; without it LARDER_ROUTES names one.\n"
                           "Exit status: 0 done, 1 something is at fault, 2 the call was wrong.\n";

static void print_command(const struct command *command, const char *before, FILE *to)
{
    fprintf(to, "%slarder %s %s\n      %s\n", before, command->name, command->usage,
            command->prose);
}

static void print_usage(FILE *to)
{
    fprintf(to, "usage: larder COMMAND [ARGUMENT]...\n\n");
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        print_command(&commands[i], "  ", to);
    fprintf(to, "  larder COMMAND --help\n  larder --help | --version\n%s", foot);
}

static const char *from_environment(const char *name)
{
    return getenv(name);
}

static int run(const struct command *command, int count, char **arguments)
{
    struct options options;
    struct error error;
    struct bytes faults = BYTES_EMPTY;
    if (count == 2 && strcmp(arguments[1], "--help") == 0) {
        print_command(command, "usage: ", stdout);
        fputs(foot, stdout);
        return 0;
    }
    if (!options_load(from_environment, &options, &faults)) {
        fputs(bytes_text(&faults), stderr);
        bytes_free(&faults);
        return 2;
    }
    if (!settings_check(&options, &error)) {
        fprintf(stderr, "%s\n", error.text);
        return 2;
    }
    return command->run(&options, count, arguments);
}

static int answer(int count, char **arguments)
{
    const char *name = count > 1 ? arguments[1] : "";
    if (strcmp(name, "--version") == 0) {
        printf("larder %s\n", PACKAGE_VERSION);
        return 0;
    }
    if (strcmp(name, "--help") == 0) {
        print_usage(stdout);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        if (strcmp(name, commands[i].name) == 0)
            return run(&commands[i], count - 1, arguments + 1);
    if (*name)
        fprintf(stderr, "larder: there is no command \"%s\"\n\n", name);
    print_usage(stderr);
    return 2;
}

int main(int count, char **arguments)
{
    standard_fill();
    return standard_end("larder", answer(count, arguments));
}
