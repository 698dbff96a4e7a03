/*
 * Memory that all processes of a host share: a whole file in LARDER_RUN, mapped.
 *
 * It begins with a number that names its format. A file that is not a whole one of this format is
 * replaced by a new one under the same name: who has the old one mapped keeps it. New memory is
 * all zeros but for that number.
 */
#ifndef LARDER_BASE_SHARED_FILE_H
#define LARDER_BASE_SHARED_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct shared_file {
    const char *name; /* within the folder */
    const char *what; /* for errors: "the clocks" */
    uint64_t magic;   /* the memory's first eight bytes; changes with any change of the format */
    size_t size;
};

/*
 * Opens or makes the file in `folder` and maps it: shared_file_unmap ends that. Fails with
 * ERROR_SYSTEM when the folder can't be written or has no room, or when what is there is another
 * user's or no file, ERROR_BUSY when another process holds the folder's lock.
 */
MUST_CHECK bool shared_file_map(const char *folder, const struct shared_file *file,
                                void **ret_memory, struct error *error);

/* The same memory for this process alone. Null on memory. */
void *shared_file_private(const struct shared_file *file) MUST_CHECK;

/* Ends either. */
void shared_file_unmap(const struct shared_file *file, void *memory);

#endif
