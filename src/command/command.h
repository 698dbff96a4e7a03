/*
 * What the `larder` command can do: one row a subcommand.
 */
#ifndef LARDER_COMMAND_COMMAND_H
#define LARDER_COMMAND_COMMAND_H

#include "base/options.h"

/* Exit statuses: 0 done, 1 the thing asked about is faulty, 2 the call was wrong. */
typedef int command_function(const struct options *options, int count, char **arguments);

struct command {
    const char *name;
    command_function *run; /* arguments[0] is the subcommand's name */
    const char *usage;     /* its arguments */
    const char *prose;
    const char *options; /* a line for each, for its --help alone */
};

command_function command_check, command_routes, command_config, command_install, command_purge,
    command_verify, command_stats, command_jobs;

#endif
