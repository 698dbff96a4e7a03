#include "cache/clocks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"

#define FILE_NAME "clocks-1"
#define FILE_NEW FILE_NAME ".new"
#define FILE_MAGIC UINT64_C(0x31736b636f6c43)
#define SLOT_COUNT ((size_t)1 << 18)

/* How often and how long (µs) to wait for others who open or make the file. */
#define LOCK_TRIES 100
#define LOCK_WAIT 10000

typedef _Atomic uint64_t number;

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "clocks are shared between processes without a lock");

struct shared {
    number magic; /* changes with any change of this struct, of the hash or of its key */
    number newest;
    uint64_t unused[6]; /* slots begin a line of the processor's cache */
    number slots[SLOT_COUNT];
};

struct clocks {
    struct shared *shared;
};

static bool wrap(int file, struct clocks **ret_clocks, struct error *error)
{
    int flags = file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    struct clocks *clocks = malloc(sizeof *clocks);
    if (!clocks)
        return error_set_memory(error);
    void *memory = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, flags, file, 0);
    if (memory == MAP_FAILED) {
        free(clocks);
        return error_set_errno(error, "mapping the clocks");
    }
    clocks->shared = memory;
    *ret_clocks = clocks;
    return true;
}

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
static bool file_is_ours(const struct stat *status)
{
    return S_ISREG(status->st_mode) && (status->st_uid == geteuid() || status->st_uid == 0);
}

static bool file_is_whole(int file, const struct stat *status)
{
    uint64_t magic;
    return status->st_size == (off_t)sizeof(struct shared) &&
           pread(file, &magic, sizeof magic, 0) == (ssize_t)sizeof magic && magic == FILE_MAGIC;
}

static bool file_fill(int file, struct error *error)
{
    const uint64_t magic = FILE_MAGIC;
    /* posix_fallocate rather than ftruncate: a full disk is an error here, not a SIGBUS later. */
    int failure = posix_fallocate(file, 0, sizeof(struct shared));
    if (failure) {
        errno = failure;
        return error_set_errno(error, "making room for the clocks");
    }
    if (pwrite(file, &magic, sizeof magic, 0) != (ssize_t)sizeof magic)
        return error_set_errno(error, "writing the clocks");
    return true;
}

/* Makes a whole file beside the name and then gives it the name: no one sees a part of it. */
static bool file_make(int folder, int *ret_file, struct error *error)
{
    unlinkat(folder, FILE_NEW, 0); /* of one who died on the way */
    int file = openat(folder, FILE_NEW, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (file < 0)
        return error_set_errno(error, "making the file of clocks");
    bool made = file_fill(file, error);
    if (made && renameat(folder, FILE_NEW, folder, FILE_NAME) != 0)
        made = error_set_errno(error, "naming the file of clocks");
    if (!made) {
        unlinkat(folder, FILE_NEW, 0);
        close(file);
        return false;
    }
    *ret_file = file;
    return true;
}

static bool file_open(int folder, int *ret_file, struct error *error)
{
    struct stat status;
    int file = openat(folder, FILE_NAME, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0)
        return errno == ENOENT ? file_make(folder, ret_file, error)
                               : error_set_errno(error, "opening " FILE_NAME);
    bool looked = fstat(file, &status) == 0;
    if (looked && file_is_ours(&status) && file_is_whole(file, &status)) {
        *ret_file = file;
        return true;
    }
    close(file);
    if (!looked || !file_is_ours(&status))
        return error_set(error, ERROR_INVALID, "%s must be a regular file of this user or root",
                         FILE_NAME);
    return file_make(folder, ret_file, error);
}

static bool open_in(int folder, struct clocks **ret_clocks, struct error *error)
{
    int file;
    if (!folder_lock(folder, error) || !file_open(folder, &file, error))
        return false;
    bool opened = wrap(file, ret_clocks, error);
    close(file); /* the mapping stays */
    return opened;
}

bool clocks_open(const char *folder, struct clocks **ret_clocks, struct error *error)
{
    struct error reason;
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return error_set_errno(error, "%s", folder);
    bool opened = open_in(descriptor, ret_clocks, &reason);
    close(descriptor); /* and with it the lock */
    return opened ? true : error_set(error, reason.kind, "%s: %.400s", folder, reason.text);
}

struct clocks *clocks_open_private(void)
{
    struct clocks *clocks = NULL;
    return wrap(-1, &clocks, NULL) ? clocks : NULL;
}

void clocks_close(struct clocks *clocks)
{
    if (!clocks)
        return;
    munmap(clocks->shared, sizeof *clocks->shared);
    free(clocks);
}

uint64_t clocks_hash(struct span tag)
{
    static const struct hash_key key = {
        {UINT64_C(0x6c61726465722074), UINT64_C(0x61672d636c6f636b)}};
    return hash_of(&key, tag);
}

static size_t slot_of(uint64_t hash)
{
    return hash & (SLOT_COUNT - 1);
}

static void raise_to(number *clock, uint64_t to)
{
    uint64_t now = atomic_load_explicit(clock, memory_order_relaxed);
    while (now < to && !atomic_compare_exchange_weak(clock, &now, to)) {
    }
}

void clocks_bump(struct clocks *clocks, uint64_t hash, uint64_t clock)
{
    raise_to(&clocks->shared->slots[slot_of(hash)], clock);
    raise_to(&clocks->shared->newest, clock);
}

uint64_t clocks_of(const struct clocks *clocks, uint64_t hash)
{
    return atomic_load_explicit(&clocks->shared->slots[slot_of(hash)], memory_order_acquire);
}

uint64_t clocks_newest(const struct clocks *clocks)
{
    return atomic_load(&clocks->shared->newest);
}

bool clocks_fresh(const struct clocks *clocks, const uint64_t *hashes, size_t count, uint64_t clock)
{
    for (size_t i = 0; i < count; i++)
        if (atomic_load_explicit(&clocks->shared->slots[slot_of(hashes[i])], memory_order_acquire) >
            clock)
            return false;
    return true;
}
