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

#define OFFLINE "  --offline         PostgreSQL is not asked, even where it is configured\n"
#define JSON "  --json            prints JSON\n"
#define DIR "  DIR               a folder of route files, or one of them; else LARDER_ROUTES\n"

static const struct command commands[] = {
    {"check", command_check, "[--offline] [DIR]",
     "reports every fault of the route files; asks PostgreSQL too where one is\n"
     "      configured",
     OFFLINE DIR},
    {"routes", command_routes, "[--depends] [--offline] [DIR]",
     "prints the routes: method, path, parameters, cache, Cache-Control; or the\n"
     "      tables they read",
     "  --depends         prints the tables and columns that each route reads\n" OFFLINE DIR},
    {"install", command_install,
     "[--print] [--remove] [--replica] [--no-module] [--to ROLE] [--wait DURATION] [DIR]",
     "puts into the database what tells of changes to all that the routes read",
     "  --print           shows the SQL that would be run, and runs nothing\n"
     "  --remove          takes everything away again\n"
     "  --replica         the triggers fire for what replication applies, too\n"
     "  --no-module       row triggers in PL/pgSQL, though the module is there\n"
     "  --to ROLE         grants ROLE what responders and larderd need\n"
     "  --wait DURATION   begins anew for so long while others use a table, as 5m\n" DIR
     "\nIt connects by PGHOST, PGDATABASE, PGUSER and the like, as a role with TRIGGER\n"
     "on the tables and CREATE on the database.\n"},
    {"purge", command_purge, "[--all] [--table TABLE]... [TAG]...",
     "makes the kept answers old that carry a tag, or depend on a table, or all",
     "  --all             all of them\n"
     "  --table TABLE     those of routes that read it, named with its schema\n"
     "  TAG               those that carry this tag of @tags\n"},
    {"verify", command_verify, "[--sample N|all] [--rate N] [--every DURATION]",
     "compares kept answers with what PostgreSQL answers now, and reports each\n"
     "      that differs",
     "  --sample N|all    how many, by chance; 1000 unless given\n"
     "  --rate N          at most so many a second; 200 unless given\n"
     "  --every DURATION  again and again, as 30s, until SIGTERM\n"},
    {"stats", command_stats, "[--json]",
     "tells how often each route was asked on this host, how it went and how\n"
     "      long it took",
     JSON},
    {"jobs", command_jobs,
     "list [waiting|later|dead] [--json] | show ID [--json] |\n"
     "      retry ID...|--dead | drop ID...|--dead",
     "tells of the queued jobs, has those that failed tried again, or drops them",
     "  list              those that have not been done: they wait or run, wait for\n"
     "                    their next try (later), or failed for good (dead)\n"
     "  show ID           what one was filed with and answered, and why it failed\n"
     "  retry ID...       has jobs that failed tried again\n"
     "  drop ID...        forgets jobs that failed, cancels those that wait\n"
     "  --dead            in place of an ID: all that failed for good\n" JSON},
    {"config", command_config, "[--sample | --manual]",
     "prints every option's value and where it comes from",
     "  --sample          prints a commented sample of /etc/default/larder\n"
     "  --manual          prints the options as a manual page has them\n"},
};

static const char foot[] = "Exit status: 0 done, 1 something is at fault, 2 the call was wrong.\n";

static void print_command(const struct command *command, const char *before, FILE *to)
{
    fprintf(to, "%slarder %s %s\n      %s\n", before, command->name, command->usage,
            command->prose);
}

static bool asks_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static void print_usage(FILE *to)
{
    fprintf(to, "usage: larder COMMAND [ARGUMENT]...\n\n");
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        print_command(&commands[i], "  ", to);
    fprintf(to,
            "  larder COMMAND --help\n  larder --help | --version\n\n"
            "DIR is a folder of route files; without it LARDER_ROUTES names one.\n%s",
            foot);
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
    if (count == 2 && asks_help(arguments[1])) {
        print_command(command, "usage: ", stdout);
        printf("\n%s\n%s", command->options, foot);
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
    if (asks_help(name)) {
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
