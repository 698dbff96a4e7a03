#include "base/route_stats.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/counters_shared.h"

static void count_in(struct route_stats *stats, unsigned status, enum counter_tier tier,
                     int64_t count)
{
    stats->requests += count;
    stats->by_tier[tier] += count;
    if (status >= 500)
        stats->failed += count;
    else if (status >= 400)
        stats->refused += count;
    else
        stats->good += count;
}

static struct route_stats stats_of(const struct route_counters *row)
{
    struct route_stats stats = {
        .name = row->name,
        .request_time = &row->request_time,
        .query_time = &row->query_time,
        .job_time = &row->job_time,
    };
    for (size_t what = 0; what < COUNTER_JOB_COUNT; what++)
        stats.jobs[what] = atomic_load(&row->jobs[what]);
    for (size_t status = 0; status < COUNTER_STATUSES; status++)
        for (enum counter_tier tier = 0; tier < TIER_COUNT; tier++)
            count_in(&stats, counter_statuses[status], tier,
                     atomic_load(&row->requests[status][tier]));
    return stats;
}

static bool is_used(const struct route_stats *stats)
{
    return stats->requests > 0 || route_stats_queued(stats);
}

static int most_first(const void *left, const void *right)
{
    const struct route_stats *a = left, *b = right;
    if (a->requests != b->requests)
        return a->requests < b->requests ? 1 : -1;
    return strcmp(a->name, b->name);
}

bool route_stats_read(const struct counters *counters, struct route_stats **ret_stats,
                      size_t *ret_count)
{
    const struct counters_shared *shared = counters->shared;
    struct route_stats *stats = calloc(COUNTER_ROUTES_MAX + 1, sizeof *stats);
    size_t count = 0;
    if (!stats)
        return false;
    stats[count] = stats_of(&shared->other);
    count += is_used(&stats[count]);
    for (size_t i = 0; i < COUNTER_ROUTES_MAX; i++) {
        if (atomic_load(&shared->routes[i].state) != COUNTER_ROW_READY)
            continue;
        stats[count] = stats_of(&shared->routes[i]);
        count += is_used(&stats[count]);
    }
    qsort(stats, count, sizeof *stats, most_first);
    *ret_stats = stats;
    *ret_count = count;
    return true;
}

int64_t route_stats_began(const struct counters *counters)
{
    return counters->shared->began;
}

double route_stats_share(const struct route_stats *stats, int64_t count)
{
    return stats->requests ? (double)count / (double)stats->requests : 0;
}

bool route_stats_queued(const struct route_stats *stats)
{
    int64_t count = 0;
    for (size_t what = 0; what < COUNTER_JOB_COUNT; what++)
        count += stats->jobs[what];
    return count > 0;
}

double route_stats_job_share(const struct route_stats *stats, enum counter_job what)
{
    int64_t ended = stats->jobs[COUNTER_JOB_DONE] + stats->jobs[COUNTER_JOB_FAILED];
    return ended ? (double)stats->jobs[what] / (double)ended : 0;
}

static void append_seconds(const char *name, const struct histogram *histogram, struct bytes *out)
{
    static const struct {
        const char *name;
        double share;
    } quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}};
    bytes_append_format(out, ",\"%s\":{\"count\":%" PRId64 ",\"mean\":%.6f", name,
                        histogram_count(histogram), histogram_mean(histogram) / 1e6);
    for (size_t i = 0; i < ARRAY_COUNT(quantiles); i++)
        bytes_append_format(out, ",\"%s\":%.6f", quantiles[i].name,
                            histogram_quantile(histogram, quantiles[i].share) / 1e6);
    bytes_append_format(out, ",\"max\":%.6f}", (double)atomic_load(&histogram->max) / 1e6);
}

static void append_jobs(const struct route_stats *stats, struct bytes *out)
{
    bytes_append_text(out, ",\"jobs\":{");
    for (size_t what = 0; what < COUNTER_JOB_COUNT; what++)
        bytes_append_format(out, "\"%s\":%" PRId64 ",", counter_job_names[what], stats->jobs[what]);
    bytes_append_format(out, "\"success_rate\":%.6f,\"failure_rate\":%.6f",
                        route_stats_job_share(stats, COUNTER_JOB_DONE),
                        route_stats_job_share(stats, COUNTER_JOB_FAILED));
    append_seconds("seconds", stats->job_time, out);
    bytes_append_byte(out, '}');
}

static void append_route(const struct route_stats *stats, struct bytes *out)
{
    bytes_append_text(out, "{\"route\":");
    bytes_append_json(out, span_of(stats->name));
    bytes_append_format(out,
                        ",\"requests\":%" PRId64 ",\"good\":%" PRId64 ",\"refused\":%" PRId64
                        ",\"failed\":%" PRId64 ",\"success_rate\":%.6f,\"failure_rate\":%.6f",
                        stats->requests, stats->good, stats->refused, stats->failed,
                        route_stats_share(stats, stats->good),
                        route_stats_share(stats, stats->failed));
    bytes_append_text(out, ",\"tiers\":{");
    for (size_t tier = 0; tier < TIER_COUNT; tier++)
        bytes_append_format(out, "%s\"%s\":%" PRId64, tier ? "," : "", counter_tier_names[tier],
                            stats->by_tier[tier]);
    bytes_append_byte(out, '}');
    append_seconds("seconds", stats->request_time, out);
    append_seconds("query_seconds", stats->query_time, out);
    if (route_stats_queued(stats))
        append_jobs(stats, out);
    bytes_append_byte(out, '}');
}

static void append_since(int64_t began, struct bytes *out)
{
    time_t seconds = (time_t)(began / 1000000);
    struct tm parts;
    char text[32];
    gmtime_r(&seconds, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    bytes_append_format(out, "{\"since\":\"%s\",\"routes\":[", text);
}

void route_stats_append_json(const struct counters *counters, struct bytes *out)
{
    struct route_stats *stats;
    size_t count;
    if (!route_stats_read(counters, &stats, &count)) {
        out->failed = true;
        return;
    }
    append_since(route_stats_began(counters), out);
    for (size_t i = 0; i < count; i++) {
        if (i)
            bytes_append_byte(out, ',');
        append_route(&stats[i], out);
    }
    bytes_append_text(out, "]}");
    free(stats);
}
