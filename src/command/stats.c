/*
 * What each route was asked, how it went and how long it took, on this host.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/route_stats.h"
#include "command/command.h"

/* "1.2ms": three digits and the unit that suits them. */
static const char *duration_text(double microseconds, char text[static 16])
{
    if (microseconds < 999.5)
        snprintf(text, 16, "%.0fµs", microseconds);
    else if (microseconds < 999500)
        snprintf(text, 16, microseconds < 9995 ? "%.2fms" : "%.1fms", microseconds / 1e3);
    else
        snprintf(text, 16, "%.2fs", microseconds / 1e6);
    return text;
}

/* µ is two bytes and one column. */
static void print_duration(double microseconds, bool counted)
{
    char text[16];
    if (!counted)
        strcpy(text, "-");
    else
        duration_text(microseconds, text);
    printf(" %*s", strstr(text, "µ") ? 10 : 9, text);
}

static void print_route(const struct route_stats *stats, int width)
{
    int64_t kept = stats->by_tier[TIER_L1] + stats->by_tier[TIER_REDIS];
    bool queried = histogram_count(stats->query_time) > 0;
    printf("%-*s %10" PRId64 " %8.2f%% %8.2f%% %8.2f%%", width, stats->name, stats->requests,
           100 * route_stats_share(stats, stats->good),
           100 * route_stats_share(stats, stats->failed), 100 * route_stats_share(stats, kept));
    print_duration(histogram_quantile(stats->request_time, 0.5), true);
    print_duration(histogram_quantile(stats->request_time, 0.99), true);
    print_duration(histogram_quantile(stats->query_time, 0.5), queried);
    print_duration(histogram_quantile(stats->query_time, 0.99), queried);
    printf("\n");
}

static void print_jobs(const struct route_stats *stats, int width)
{
    const int64_t *jobs = stats->jobs;
    bool ended = histogram_count(stats->job_time) > 0;
    printf("%-*s %10" PRId64 " %8.2f%% %8.2f%% %9" PRId64 " %9" PRId64, width, stats->name,
           jobs[COUNTER_JOB_DONE] + jobs[COUNTER_JOB_FAILED],
           100 * route_stats_job_share(stats, COUNTER_JOB_DONE),
           100 * route_stats_job_share(stats, COUNTER_JOB_FAILED), jobs[COUNTER_JOB_AGAIN],
           jobs[COUNTER_JOB_CANCELLED]);
    print_duration(histogram_quantile(stats->job_time, 0.5), ended);
    print_duration(histogram_quantile(stats->job_time, 0.99), ended);
    printf("\n");
}

/* What became of the writes that were queued, where there were any. */
static void print_queued(const struct route_stats *stats, size_t count, int width)
{
    size_t told = 0;
    for (size_t i = 0; i < count; i++) {
        if (!route_stats_queued(&stats[i]))
            continue;
        if (told++ == 0)
            printf("\n%-*s %10s %9s %9s %9s %9s %9s %9s\n", width, "QUEUED WRITES", "ENDED", "DONE",
                   "FAILED", "AGAIN", "CANCELLED", "P50", "P99");
        print_jobs(&stats[i], width);
    }
}

static int width_of(const struct route_stats *stats, size_t count)
{
    size_t width = strlen("QUEUED WRITES");
    for (size_t i = 0; i < count; i++)
        width = strlen(stats[i].name) > width ? strlen(stats[i].name) : width;
    return (int)width;
}

static void print_since(int64_t began)
{
    time_t seconds = (time_t)(began / 1000000);
    struct tm parts;
    char text[32];
    localtime_r(&seconds, &parts);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %Z", &parts);
    printf("Counted on this host since %s.\n", text);
}

static bool print_table(const struct counters *counters)
{
    struct route_stats *stats;
    size_t count;
    if (!route_stats_read(counters, &stats, &count))
        return false;
    int width = width_of(stats, count);
    print_since(route_stats_began(counters));
    printf("%-*s %10s %9s %9s %9s %9s %9s %9s %9s\n", width, "ROUTE", "REQUESTS", "GOOD", "FAILED",
           "CACHED", "P50", "P99", "QUERY P50", "QUERY P99");
    for (size_t i = 0; i < count; i++)
        print_route(&stats[i], width);
    print_queued(stats, count, width);
    free(stats);
    return true;
}

static bool print_json(const struct counters *counters)
{
    struct bytes text = BYTES_EMPTY;
    route_stats_append_json(counters, &text);
    bool made = !text.failed;
    if (made)
        puts(bytes_text(&text));
    bytes_free(&text);
    return made;
}

int command_stats(const struct options *options, int count, char **arguments)
{
    bool json = count > 1;
    struct counters *counters;
    struct error error;
    for (int i = 1; i < count; i++)
        if (strcmp(arguments[i], "--json") != 0) {
            fprintf(stderr, "larder stats: \"%s\" is not allowed; allowed: --json\n", arguments[i]);
            return 2;
        }
    if (!counters_snapshot(options_text(options, OPTION_RUN), &counters, &error)) {
        fprintf(stderr, "larder stats: %s%s\n", error.text,
                error.kind == ERROR_SYSTEM ? "; responders count there, where LARDER_RUN is theirs"
                                           : "");
        return 1;
    }
    bool printed = json ? print_json(counters) : print_table(counters);
    counters_close(counters);
    if (!printed)
        fprintf(stderr, "larder stats: out of memory\n");
    return printed ? 0 : 1;
}
