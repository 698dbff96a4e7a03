#include "base/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUTES_MAX 1024
#define ROUTE_NAME_MAX 192
#define FILE_NAME "counters-1"
/* Changes with any change of the structs here; with that of their size, as by a counter, by itself. */
#define FILE_MAGIC (UINT64_C(0x3173746e756f634c) + sizeof(struct shared))

typedef _Atomic int64_t number;

static const struct counter_row {
    const char *name;
    bool gauge;
    const char *prose;
} counter_rows[COUNTER_COUNT] = {
#define TYPE_COUNTER false
#define TYPE_GAUGE true
#define COUNTER(symbol, name, type, prose) [COUNTER_##symbol] = {name, TYPE_##type, prose},
#include "base/counters.def"
#undef COUNTER
};

static const char *const tier_names[TIER_COUNT] = {"none", "l1", "redis", "database"};

/* The statuses Larder gives; the last row is for any other. */
static const unsigned statuses[] = {200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 406, 409, 412,
                                    413, 414, 415, 422, 428, 429, 431, 500, 501, 502, 503, 504, 0};

#define STATUS_COUNT ARRAY_COUNT(statuses)

/* Upper bounds in microseconds, doubling about every second step; the last bucket is +Inf. */
static const int64_t bounds[] = {100,     250,     500,     1000,    2500,   5000,
                                 10000,   25000,   50000,   100000,  250000, 500000,
                                 1000000, 2500000, 5000000, 10000000};

#define BUCKET_COUNT (ARRAY_COUNT(bounds) + 1)

struct histogram {
    number buckets[BUCKET_COUNT];
    number sum; /* microseconds */
};

enum row_state {
    ROW_FREE,
    ROW_CLAIMED, /* its name is being written */
    ROW_READY,
};

struct route_counters {
    _Atomic int state;
    char name[ROUTE_NAME_MAX];
    number requests[STATUS_COUNT][TIER_COUNT];
    struct histogram request_time;
    struct histogram query_time;
};

struct shared {
    _Atomic uint64_t magic;
    number plain[COUNTER_COUNT];
    struct route_counters other;
    struct route_counters routes[ROUTES_MAX];
};

struct counters {
    struct shared *shared;
    number own[COUNTER_COUNT]; /* what this process added: its gauges are taken back at its end */
    int file;                  /* holds a shared lock while the process lives; -1: private */
};

/* Makes the memory this version's; what another one left in it is forgotten. */
static void shared_begin(struct shared *shared)
{
    memset(shared, 0, sizeof *shared);
    strcpy(shared->other.name, "other");
    atomic_store(&shared->other.state, ROW_READY);
    atomic_store(&shared->magic, FILE_MAGIC);
}

static bool shared_is_ours(struct shared *shared)
{
    return atomic_load(&shared->magic) == FILE_MAGIC;
}

static void gauges_clear(struct shared *shared)
{
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        if (counter_rows[i].gauge)
            atomic_store(&shared->plain[i], 0);
}

static bool map_shared(int file, struct shared **ret_shared, struct error *error)
{
    int flags = file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void *memory = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, flags, file, 0);
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
        return error_set(error, ERROR_INVALID,
                         "the counters' file must be a regular file of this user or root");
    return true;
}

/* Gets the lock every process holds; the only holder may begin the memory and clear the gauges. */
static bool file_prepare(int file, struct error *error, bool *ret_alone)
{
    *ret_alone = flock(file, LOCK_EX | LOCK_NB) == 0;
    if (!*ret_alone && flock(file, LOCK_SH) != 0)
        return error_set_errno(error, "locking the counters");
    /* posix_fallocate rather than ftruncate: a full disk is an error here, not a SIGBUS later. */
    int failure = posix_fallocate(file, 0, sizeof(struct shared));
    if (failure) {
        errno = failure;
        return error_set_errno(error, "making room for the counters");
    }
    return true;
}

static bool shared_take(struct shared *shared, bool alone, struct error *error)
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
    if (snprintf(path, sizeof path, "%s/%s", folder, FILE_NAME) >= (int)sizeof path)
        return error_set(error, ERROR_INVALID, "the path of LARDER_RUN is too long");
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
    if (file < 0)
        return error_set_errno(error, "%s", path);
    if (counters_open_file(file, ret_counters, error))
        return true;
    close(file);
    return false;
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
    munmap(counters->shared, sizeof *counters->shared);
    if (counters->file >= 0)
        close(counters->file);
    free(counters);
}

static void add(number *to, int64_t amount)
{
    atomic_fetch_add_explicit(to, amount, memory_order_relaxed);
}

void counters_add(struct counters *counters, enum counter counter, int64_t amount)
{
    add(&counters->shared->plain[counter], amount);
    if (counter_rows[counter].gauge)
        add(&counters->own[counter], amount);
}

static void row_wait(const struct route_counters *row)
{
    /* Another process is between two stores; if it was killed there, the row stays nameless. */
    for (int turns = 0; turns < 1000 && atomic_load(&row->state) == ROW_CLAIMED; turns++)
        usleep(10);
}

/* True when the row is the route's: found, or claimed now. */
static bool row_is_for(struct route_counters *row, const char *name)
{
    int state = ROW_FREE;
    if (atomic_compare_exchange_strong(&row->state, &state, ROW_CLAIMED)) {
        strcpy(row->name, name);
        atomic_store(&row->state, ROW_READY);
        return true;
    }
    if (state == ROW_CLAIMED)
        row_wait(row);
    return atomic_load(&row->state) == ROW_READY && strcmp(row->name, name) == 0;
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
    struct shared *shared = counters->shared;
    if (strlen(name) >= ROUTE_NAME_MAX)
        return &shared->other;
    size_t start = name_hash(name);
    for (size_t i = 0; i < ROUTES_MAX; i++) {
        struct route_counters *row = &shared->routes[(start + i) % ROUTES_MAX];
        if (row_is_for(row, name))
            return row;
    }
    return &shared->other;
}

static void histogram_add(struct histogram *histogram, int64_t duration)
{
    size_t bucket = 0;
    while (bucket < ARRAY_COUNT(bounds) && duration > bounds[bucket])
        bucket++;
    add(&histogram->buckets[bucket], 1);
    add(&histogram->sum, duration);
}

static size_t status_index(unsigned status)
{
    size_t index = 0;
    while (index < STATUS_COUNT - 1 && statuses[index] != status)
        index++;
    return index;
}

void counters_request(struct route_counters *row, unsigned status, enum counter_tier tier,
                      int64_t duration)
{
    add(&row->requests[status_index(status)][tier], 1);
    histogram_add(&row->request_time, duration);
}

void counters_query(struct route_counters *row, int64_t duration)
{
    histogram_add(&row->query_time, duration);
}

static int64_t read_number(const number *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

static void append_head(struct bytes *out, const char *name, const char *type, const char *prose)
{
    bytes_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, prose, name, type);
}

static void append_plain(const struct shared *shared, struct bytes *out)
{
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        const struct counter_row *row = &counter_rows[i];
        append_head(out, row->name, row->gauge ? "gauge" : "counter", row->prose);
        bytes_append_format(out, "%s %" PRId64 "\n", row->name, read_number(&shared->plain[i]));
    }
}

/* A label's value: backslash, quote and newline are escaped. */
static void append_label(struct bytes *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\\' || *text == '"')
            bytes_append_byte(out, '\\');
        bytes_append_byte(out, *text);
    }
}

typedef void row_writer(const struct route_counters *row, struct bytes *out);

static void for_each_row(const struct shared *shared, row_writer *write, struct bytes *out)
{
    write(&shared->other, out);
    for (size_t i = 0; i < ROUTES_MAX; i++)
        if (atomic_load(&shared->routes[i].state) == ROW_READY)
            write(&shared->routes[i], out);
}

static void write_requests(const struct route_counters *row, struct bytes *out)
{
    for (size_t status = 0; status < STATUS_COUNT; status++) {
        for (size_t tier = 0; tier < TIER_COUNT; tier++) {
            int64_t count = read_number(&row->requests[status][tier]);
            if (count == 0)
                continue;
            bytes_append_text(out, "larder_requests_total{route=\"");
            append_label(out, row->name);
            bytes_append_format(out, "\",status=\"%u\",tier=\"%s\"} %" PRId64 "\n",
                                statuses[status], tier_names[tier], count);
        }
    }
}

static void write_bucket(const struct route_counters *row, const char *name, const char *bound,
                         int64_t count, struct bytes *out)
{
    bytes_append_format(out, "%s_bucket{route=\"", name);
    append_label(out, row->name);
    bytes_append_format(out, "\",le=\"%s\"} %" PRId64 "\n", bound, count);
}

static void write_histogram(const struct route_counters *row, const char *name,
                            const struct histogram *histogram, struct bytes *out)
{
    int64_t count = 0;
    for (size_t i = 0; i < BUCKET_COUNT; i++)
        count += read_number(&histogram->buckets[i]);
    if (count == 0)
        return;
    int64_t running = 0;
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        char bound[32] = "+Inf";
        if (i < ARRAY_COUNT(bounds))
            snprintf(bound, sizeof bound, "%g", (double)bounds[i] / 1e6);
        running += read_number(&histogram->buckets[i]);
        write_bucket(row, name, bound, running, out);
    }
    bytes_append_format(out, "%s_sum{route=\"", name);
    append_label(out, row->name);
    bytes_append_format(out, "\"} %.6f\n%s_count{route=\"",
                        (double)read_number(&histogram->sum) / 1e6, name);
    append_label(out, row->name);
    bytes_append_format(out, "\"} %" PRId64 "\n", running);
}

static void write_request_time(const struct route_counters *row, struct bytes *out)
{
    write_histogram(row, "larder_request_seconds", &row->request_time, out);
}

static void write_query_time(const struct route_counters *row, struct bytes *out)
{
    write_histogram(row, "larder_query_seconds", &row->query_time, out);
}

static const struct family {
    const char *name;
    const char *type;
    const char *prose;
    row_writer *write;
} families[] = {
    {"larder_requests_total", "counter", "Requests by route, status and the tier that answered.",
     write_requests},
    {"larder_request_seconds", "histogram", "Seconds from receiving a request to its answer's end.",
     write_request_time},
    {"larder_query_seconds", "histogram", "Seconds a route's statement took.", write_query_time},
};

void counters_append_prometheus(const struct counters *counters, struct bytes *out)
{
    append_plain(counters->shared, out);
    for (size_t i = 0; i < ARRAY_COUNT(families); i++) {
        append_head(out, families[i].name, families[i].type, families[i].prose);
        for_each_row(counters->shared, families[i].write, out);
    }
}
