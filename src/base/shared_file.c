#include "base/shared_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bus_error.h"

/* How often and how long (µs) to wait for others who open or make a file. */
#define LOCK_TRIES 100
#define LOCK_WAIT 10000

#define NAME_MAX_HERE 64

/* Held while the file is looked at and made, so that all processes end up with the same one. */
static bool folder_lock(int folder, struct error *error)
{
    for (int tries = 0; tries < LOCK_TRIES; tries++) {
        if (flock(folder, LOCK_EX | LOCK_NB) == 0)
            return true;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error_set_errno(error, "locking LARDER_RUN");
        usleep(LOCK_WAIT);
    }
    return error_set(error, ERROR_BUSY, "LARDER_RUN is locked by another process");
}

/* Somebody else's file could be cut short under us, which would be a SIGBUS. */
static bool is_ours(const struct stat *status)
{
    return S_ISREG(status->st_mode) && (status->st_uid == geteuid() || status->st_uid == 0);
}

static bool is_whole(int descriptor, const struct stat *status, const struct shared_file *file)
{
    uint64_t magic;
    return status->st_size == (off_t)file->size &&
           pread(descriptor, &magic, sizeof magic, 0) == (ssize_t)sizeof magic &&
           magic == file->magic;
}

static bool fill(int descriptor, const struct shared_file *file, struct error *error)
{
    /* posix_fallocate rather than ftruncate: a full disk is an error here, not a SIGBUS later. */
    int failure = posix_fallocate(descriptor, 0, (off_t)file->size);
    if (failure) {
        errno = failure;
        return error_set_errno(error, "making room for %s", file->what);
    }
    if (pwrite(descriptor, &file->magic, sizeof file->magic, 0) != (ssize_t)sizeof file->magic)
        return error_set_errno(error, "writing %s", file->what);
    return true;
}

/* Makes a whole file beside the name and then gives it the name: no one sees a part of it. */
static bool make(int folder, const struct shared_file *file, int *ret_descriptor,
                 struct error *error)
{
    char beside[NAME_MAX_HERE];
    snprintf(beside, sizeof beside, "%s.new", file->name);
    unlinkat(folder, beside, 0); /* of one who died on the way */
    int descriptor =
        openat(folder, beside, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (descriptor < 0)
        return error_set_errno(error, "making the file of %s", file->what);
    bool made = fill(descriptor, file, error);
    if (made && renameat(folder, beside, folder, file->name) != 0)
        made = error_set_errno(error, "naming the file of %s", file->what);
    if (!made) {
        unlinkat(folder, beside, 0);
        close(descriptor);
        return false;
    }
    *ret_descriptor = descriptor;
    return true;
}

static bool take(int folder, const struct shared_file *file, int *ret_descriptor,
                 struct error *error)
{
    struct stat status;
    int descriptor = openat(folder, file->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor < 0)
        return errno == ENOENT ? make(folder, file, ret_descriptor, error)
                               : error_set_errno(error, "opening %s", file->name);
    bool looked = fstat(descriptor, &status) == 0;
    if (looked && is_ours(&status) && is_whole(descriptor, &status, file)) {
        *ret_descriptor = descriptor;
        return true;
    }
    close(descriptor);
    if (!looked || !is_ours(&status))
        return error_set(error, ERROR_SYSTEM, "%s must be a regular file of this user or root",
                         file->name);
    return make(folder, file, ret_descriptor, error);
}

static bool map_in(int folder, const struct shared_file *file, void **ret_memory,
                   struct error *error)
{
    int descriptor;
    if (!folder_lock(folder, error) || !take(folder, file, &descriptor, error))
        return false;
    void *memory = mmap(NULL, file->size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor); /* the mapping stays */
    if (memory == MAP_FAILED)
        return error_set_errno(error, "mapping %s", file->what);
    *ret_memory = memory;
    return true;
}

bool shared_file_map(const char *folder, const struct shared_file *file, void **ret_memory,
                     struct error *error)
{
    struct error reason;
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return error_set_errno(error, "%s", folder);
    bool mapped = map_in(descriptor, file, ret_memory, &reason);
    close(descriptor); /* and with it the lock */
    if (mapped)
        bus_error_watch(*ret_memory, file->size, folder, file->name);
    return mapped ? true : error_set(error, reason.kind, "%s: %.400s", folder, reason.text);
}

void shared_file_unmap(const struct shared_file *file, void *memory)
{
    bus_error_forget(memory);
    munmap(memory, file->size);
}

void *shared_file_private(const struct shared_file *file)
{
    void *memory =
        mmap(NULL, file->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    *(uint64_t *)memory = file->magic;
    return memory;
}
