/*
 * larderd: the daemon. Its loops, declared as a table, come with the invalidation feed, the jobs
 * and the warming; today it has none and says so, rather than run and do nothing.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

static int print_usage(FILE *to)
{
    fprintf(to,
            "usage: larderd [--help | --version]\n"
            "The daemon of invalidations, jobs and warming: version %s has no loop to run "
            "yet,\nso it need not be started.\n",
            PACKAGE_VERSION);
    return to == stdout ? 0 : 2;
}

int main(int count, char **arguments)
{
    if (count == 2 && strcmp(arguments[1], "--version") == 0) {
        printf("larderd %s\n", PACKAGE_VERSION);
        return 0;
    }
    return print_usage(count == 2 && strcmp(arguments[1], "--help") == 0 ? stdout : stderr);
}
