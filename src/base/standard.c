#include "config.h"

#include "base/standard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void standard_fill(void)
{
    int file;
    do
        file = open("/", O_PATH); /* the lowest that is free; and in a chroot there is one too */
    while (file >= 0 && file <= STDERR_FILENO);
    if (file >= 0)
        close(file);
}

int standard_end(const char *program, int status)
{
    bool failed = ferror(stdout); /* why is forgotten by now */
    errno = 0;
    if (fclose(stdout) == 0 && !failed)
        return status;
    fprintf(stderr, "%s: the output could not be written%s%s\n", program, errno ? ": " : "",
            errno ? strerror(errno) : "");
    return status ? status : 1;
}

int standard_answer(const char *program, const char *argument, const char *usage)
{
    bool version = strcmp(argument, "--version") == 0;
    bool help = strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
    if (version)
        printf("%s %s\n", program, PACKAGE_VERSION);
    else
        fputs(usage, help ? stdout : stderr);
    return standard_end(program, version || help ? 0 : 2);
}
