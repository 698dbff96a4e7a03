/*
 * The counters as Prometheus reads them.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/counters_shared.h"

/* The buckets that are told, µs: each is a bound of the histograms. */
static const int64_t bounds[] = {100,     250,     500,     1000,    2500,   5000,
                                 10000,   25000,   50000,   100000,  250000, 500000,
                                 1000000, 2500000, 5000000, 10000000};

static int64_t read_number(const _Atomic int64_t *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

static void append_head(struct bytes *out, const char *name, const char *type, const char *prose)
{
    bytes_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, prose, name, type);
}

static void append_plain(const struct counters_shared *shared, struct bytes *out)
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

static void for_each_row(const struct counters_shared *shared, row_writer *write, struct bytes *out)
{
    write(&shared->other, out);
    for (size_t i = 0; i < COUNTER_ROUTES_MAX; i++)
        if (atomic_load(&shared->routes[i].state) == COUNTER_ROW_READY)
            write(&shared->routes[i], out);
}

static void write_requests(const struct route_counters *row, struct bytes *out)
{
    for (size_t status = 0; status < COUNTER_STATUSES; status++) {
        for (size_t tier = 0; tier < TIER_COUNT; tier++) {
            int64_t count = read_number(&row->requests[status][tier]);
            if (count == 0)
                continue;
            bytes_append_text(out, "larder_requests_total{route=\"");
            append_label(out, row->name);
            bytes_append_format(out, "\",status=\"%u\",tier=\"%s\"} %" PRId64 "\n",
                                counter_statuses[status], counter_tier_names[tier], count);
        }
    }
}

static void write_jobs(const struct route_counters *row, struct bytes *out)
{
    for (size_t what = 0; what < COUNTER_JOB_COUNT; what++) {
        int64_t count = read_number(&row->jobs[what]);
        if (count == 0)
            continue;
        bytes_append_text(out, "larder_route_jobs_total{route=\"");
        append_label(out, row->name);
        bytes_append_format(out, "\",end=\"%s\"} %" PRId64 "\n", counter_job_names[what], count);
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
    char bound[32];
    if (histogram_count(histogram) == 0)
        return;
    for (size_t i = 0; i < ARRAY_COUNT(bounds); i++) {
        snprintf(bound, sizeof bound, "%g", (double)bounds[i] / 1e6);
        write_bucket(row, name, bound, histogram_count_up_to(histogram, bounds[i]), out);
    }
    int64_t count = histogram_count(histogram); /* after the buckets: none is above it */
    write_bucket(row, name, "+Inf", count, out);
    bytes_append_format(out, "%s_sum{route=\"", name);
    append_label(out, row->name);
    bytes_append_format(out, "\"} %.6f\n%s_count{route=\"",
                        (double)read_number(&histogram->sum) / 1e6, name);
    append_label(out, row->name);
    bytes_append_format(out, "\"} %" PRId64 "\n", count);
}

static void write_request_time(const struct route_counters *row, struct bytes *out)
{
    write_histogram(row, "larder_request_seconds", &row->request_time, out);
}

static void write_query_time(const struct route_counters *row, struct bytes *out)
{
    write_histogram(row, "larder_query_seconds", &row->query_time, out);
}

static void write_job_time(const struct route_counters *row, struct bytes *out)
{
    write_histogram(row, "larder_job_seconds", &row->job_time, out);
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
    {"larder_route_jobs_total", "counter",
     "Queued writes by route and what became of them; tried_again is no end.", write_jobs},
    {"larder_job_seconds", "histogram", "Seconds from queueing a write to its end, done or failed.",
     write_job_time},
};

void counters_append_prometheus(const struct counters *counters, struct bytes *out)
{
    append_plain(counters->shared, out);
    for (size_t i = 0; i < ARRAY_COUNT(families); i++) {
        append_head(out, families[i].name, families[i].type, families[i].prose);
        for_each_row(counters->shared, families[i].write, out);
    }
}
