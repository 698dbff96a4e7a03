/*
 * A file that is mapped and is cut short by somebody ends whoever touches what is gone (SIGBUS).
 * This has the log say which file it was; the process ends all the same, with its core.
 */
#ifndef LARDER_BASE_BUS_ERROR_H
#define LARDER_BASE_BUS_ERROR_H

#include <stddef.h>

/* From now on: `memory` is the file `name` in `folder`. Of more than a few nothing is said. */
void bus_error_watch(const void *memory, size_t size, const char *folder, const char *name);

/* Before it is unmapped. */
void bus_error_forget(const void *memory);

#endif
