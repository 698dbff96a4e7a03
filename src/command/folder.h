/*
 * A folder of routes as the commands look at it: parsed, and judged by PostgreSQL where one is
 * configured.
 */
#ifndef LARDER_COMMAND_FOLDER_H
#define LARDER_COMMAND_FOLDER_H

#include "base/options.h"
#include "db/learn.h"
#include "db/module.h"
#include "route/table.h"

enum asked {
    ASKED_NOT, /* no database is configured, or the caller wanted none */
    ASKED_YES,
    ASKED_FAILED, /* PostgreSQL can't be reached: `failure` says why */
};

struct command_folder {
    struct arena *arena;
    struct fault_list faults;
    struct route_table *table; /* of the files without faults */
    struct learned *
        *learned;          /* by index in the table; null: PostgreSQL was not asked or complained */
    const char **refusals; /* likewise: why the role that asked may not run it; null: it may */
    const char *role;      /* who asked … */
    const char *roles;     /* … and whose rights he has besides; null: nobody's, or not known */
    enum module_use module_use;
    enum asked asked;
    struct db_failure failure;
};

/* Reads the folder `path` and, unless `offline`, asks PostgreSQL. False: memory. */
MUST_CHECK bool command_folder_open(const struct options *options, const char *path, bool offline,
                                    struct command_folder *ret_folder);

void command_folder_close(struct command_folder *folder);

/*
 * Reads [--offline] [DIR] from a subcommand's arguments and opens that folder; one more word may
 * be allowed (`flag`, null: none), which raises *ret_flag. Returns 0, or the exit status after
 * saying on stderr what is wrong.
 */
MUST_CHECK int command_folder_begin(const struct options *options, int count, char **arguments,
                                    const char *flag, bool *ret_flag,
                                    struct command_folder *ret_folder);

/* Prints what the routes read, one line a table (`larder routes --depends`). */
void command_print_depends(struct command_folder *folder);

#endif
