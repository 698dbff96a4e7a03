#include "base/counters_shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bus_error.h"
#include "base/clock.h"

const struct counter_row counter_rows[COUNTER_COUNT] = {
#define TYPE_COUNTER false
#define TYPE_GAUGE true
#define COUNTER(symbol, name, type, prose) [COUNTER_##symbol] = {name, TYPE_##type, prose},
#include "base/counters.def"
#undef COUNTER
};

const char *const counter_tier_names[TIER_COUNT] = {"none", "l1", "redis", "database"};

const char *const counter_job_names[COUNTER_JOB_COUNT] = {"done", "failed", "cancelled",
                                                          "tried_again"};

const unsigned counter_statuses[COUNTER_STATUSES] = {200, 201, 202, 204, 304, 400, 401, 403, 404,
                                                     405, 406, 409, 412, 413, 414, 415, 422, 428,
                                                     429, 431, 500, 501, 502, 503, 504, 0};

/* Makes the memory this version's; what another one left in it is forgotten. */
static void shared_begin(struct counters_shared *shared)
{
    memset(shared, 0, sizeof *shared);
    shared->began = clock_wall();
    strcpy(shared->other.name, "other");
    atomic_store(&shared->other.state, COUNTER_ROW_READY);
    atomic_store(&shared->magic, COUNTERS_MAGIC);
}

static bool shared_is_ours(struct counters_shared *shared)
{
    return atomic_load(&shared->magic) == COUNTERS_MAGIC;
}

static void gauges_clear(struct counters_shared *shared)
{
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        if (counter_rows[i].gauge)
            atomic_store(&shared->plain[i], 0);
}

static bool map_shared(int file, struct counters_shared **ret_shared, struct error *error)
{
    int flags = file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void *memory =
        mmap(NULL, sizeof(struct counters_shared), PROT_READ | PROT_WRITE, flags, file, 0);
    if (memory == MAP_FAILED)
        return error_set_errno(error, "mapping the counters");
    *ret_shared = memory;
    return true;
}

static bool counters_wrap(int file, struct counters **ret_counters, struct error *error)
{
    struct counters *counters = calloc(1, sizeof *counters);
    if (!counters)
        return error_set_memory(error);
    counters->file = file;
    if (!map_shared(file, &counters->shared, error)) {
        free(counters);
        return false;
    }
    *ret_counters = counters;
    return true;
}

/* Somebody else's file could be cut short under us, which would be a SIGBUS. */
static bool file_is_safe(int file, struct error *error)
{
    struct stat status;
    if (fstat(file, &status) != 0)
        return error_set_errno(error, "looking at the counters");
    if (!S_ISREG(status.st_mode) || (status.st_uid != geteuid() && status.st_uid != 0))
        return error_set(error, ERROR_INVALID, "it must be a regular file of this user or root");
    return true;
}

/* Gets the lock every process holds; the only holder may begin the memory and clear the gauges. */
static bool file_prepare(int file, struct error *error, bool *ret_alone)
{
    *ret_alone = flock(file, LOCK_EX | LOCK_NB) == 0;
    if (!*ret_alone && flock(file, LOCK_SH) != 0)
        return error_set_errno(error, "locking the counters");
    /* posix_fallocate rather than ftruncate: a full disk is an error here, not a SIGBUS later. */
    int failure = posix_fallocate(file, 0, sizeof(struct counters_shared));
    if (failure) {
        errno = failure;
        return error_set_errno(error, "making room for the counters");
    }
    return true;
}

static bool shared_take(struct counters_shared *shared, bool alone, struct error *error)
{
    if (alone && !shared_is_ours(shared))
        shared_begin(shared);
    else if (alone)
        gauges_clear(shared);
    if (!shared_is_ours(shared))
        return error_set(error, ERROR_INVALID,
                         "the counters belong to processes of another version of Larder");
    return true;
}

static bool counters_open_file(int file, struct counters **ret_counters, struct error *error)
{
    bool alone;
    struct counters *counters;
    if (!file_is_safe(file, error) || !file_prepare(file, error, &alone) ||
        !counters_wrap(file, &counters, error))
        return false;
    if (!shared_take(counters->shared, alone, error)) {
        munmap(counters->shared, sizeof *counters->shared);
        free(counters);
        return false;
    }
    if (alone && flock(file, LOCK_SH) != 0) {
        /* Kept exclusive: others then wait for this process, which is the safe side. */
    }
    *ret_counters = counters;
    return true;
}

bool counters_open(const char *folder, struct counters **ret_counters, struct error *error)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", folder, COUNTERS_FILE) >= (int)sizeof path)
        return error_set(error, ERROR_INVALID, "the path of LARDER_RUN is too long");
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
    if (file < 0)
        return error_set_errno(error, "%s", path);
    struct error reason;
    if (counters_open_file(file, ret_counters, &reason)) {
        bus_error_watch((*ret_counters)->shared, sizeof *(*ret_counters)->shared, folder,
                        COUNTERS_FILE);
        return true;
    }
    close(file);
    return error_set(error, reason.kind, "%.200s: %.300s", path, reason.text);
}

/* Read rather than mapped: nothing that happens to the file can harm the reader. */
static bool shared_read(const char *path, int file, struct counters_shared *shared,
                        struct error *error)
{
    size_t got = 0;
    while (got < sizeof *shared) {
        ssize_t more = pread(file, (char *)shared + got, sizeof *shared - got, (off_t)got);
        if (more < 0)
            return error_set_errno(error, "reading the counters");
        if (more == 0)
            break;
        got += (size_t)more;
    }
    if (got == 0)
        return error_set(error, ERROR_INVALID,
                         "nothing is counted: no process could make %s as large as it has to be "
                         "(their log says why)",
                         path);
    if (got < sizeof *shared || !shared_is_ours(shared))
        return error_set(error, ERROR_INVALID,
                         "the counters belong to processes of another version of Larder");
    return true;
}

bool counters_snapshot(const char *folder, struct counters **ret_counters, struct error *error)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", folder, COUNTERS_FILE) >= (int)sizeof path)
        return error_set(error, ERROR_INVALID, "the path of LARDER_RUN is too long");
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0)
        return error_set_errno(error, "%s", path);
    struct counters *counters = counters_open_private();
    bool done =
        counters ? shared_read(path, file, counters->shared, error) : error_set_memory(error);
    close(file);
    if (done)
        *ret_counters = counters;
    else
        counters_close(counters);
    return done;
}

struct counters *counters_open_private(void)
{
    struct counters *counters;
    if (!counters_wrap(-1, &counters, NULL))
        return NULL;
    shared_begin(counters->shared);
    return counters;
}

void counters_close(struct counters *counters)
{
    if (!counters)
        return;
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        if (counter_rows[i].gauge)
            atomic_fetch_sub(&counters->shared->plain[i], atomic_load(&counters->own[i]));
    bus_error_forget(counters->shared);
    munmap(counters->shared, sizeof *counters->shared);
    if (counters->file >= 0)
        close(counters->file);
    free(counters);
}

static void add(_Atomic int64_t *to, int64_t amount)
{
    atomic_fetch_add_explicit(to, amount, memory_order_relaxed);
}

void counters_add(struct counters *counters, enum counter counter, int64_t amount)
{
    add(&counters->shared->plain[counter], amount);
    if (counter_rows[counter].gauge)
        add(&counters->own[counter], amount);
}

void counters_set(struct counters *counters, enum counter gauge, int64_t value)
{
    atomic_store_explicit(&counters->shared->plain[gauge], value, memory_order_relaxed);
}

static void row_wait(const struct route_counters *row)
{
    /* Another process is between two stores; if it was killed there, the row stays nameless. */
    for (int turns = 0; turns < 1000 && atomic_load(&row->state) == COUNTER_ROW_CLAIMED; turns++)
        usleep(10);
}

/* True when the row is the route's: found, or claimed now. */
static bool row_is_for(struct route_counters *row, const char *name)
{
    int state = COUNTER_ROW_FREE;
    if (atomic_compare_exchange_strong(&row->state, &state, COUNTER_ROW_CLAIMED)) {
        strcpy(row->name, name);
        atomic_store(&row->state, COUNTER_ROW_READY);
        return true;
    }
    if (state == COUNTER_ROW_CLAIMED)
        row_wait(row);
    return atomic_load(&row->state) == COUNTER_ROW_READY && strcmp(row->name, name) == 0;
}

static size_t name_hash(const char *name)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash;
}

struct route_counters *counters_route(struct counters *counters, const char *name)
{
    struct counters_shared *shared = counters->shared;
    if (strlen(name) >= COUNTER_NAME_MAX)
        return &shared->other;
    size_t start = name_hash(name);
    for (size_t i = 0; i < COUNTER_ROUTES_MAX; i++) {
        struct route_counters *row = &shared->routes[(start + i) % COUNTER_ROUTES_MAX];
        if (row_is_for(row, name))
            return row;
    }
    return &shared->other;
}

bool counters_shares(const struct counters *counters, const struct route_counters *row)
{
    return row == &counters->shared->other;
}

static size_t status_index(unsigned status)
{
    size_t index = 0;
    while (index < COUNTER_STATUSES - 1 && counter_statuses[index] != status)
        index++;
    return index;
}

void counters_request(struct route_counters *row, unsigned status, enum counter_tier tier,
                      int64_t duration)
{
    add(&row->requests[status_index(status)][tier], 1);
    histogram_add(&row->request_time, duration);
}

void counters_job(struct route_counters *row, enum counter_job what, int64_t duration)
{
    add(&row->jobs[what], 1);
    if (what == COUNTER_JOB_DONE || what == COUNTER_JOB_FAILED)
        histogram_add(&row->job_time, duration);
}

void counters_query(struct route_counters *row, int64_t duration)
{
    histogram_add(&row->query_time, duration);
}
