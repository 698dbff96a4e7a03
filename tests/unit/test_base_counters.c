#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/counters.h"

static char *metrics(const struct counters *counters)
{
    struct bytes out = BYTES_EMPTY;
    counters_append_prometheus(counters, &out);
    assert_false(out.failed);
    return out.data;
}

static void assert_holds(const struct counters *counters, const char *line)
{
    char *text = metrics(counters);
    assert_non_null(strstr(text, line));
    free(text);
}

static void every_counter_is_told_with_its_prose(void **state)
{
    struct counters *counters = counters_open_private();
    (void)state;
    counters_add(counters, COUNTER_QUERIES, 3);
    assert_holds(counters, "# HELP larder_queries_total ");
    assert_holds(counters, "# TYPE larder_queries_total counter\nlarder_queries_total 3\n");
    assert_holds(counters, "# TYPE larder_db_connections gauge\nlarder_db_connections 0\n");
    counters_close(counters);
}

static void requests_are_counted_by_route_status_and_tier(void **state)
{
    struct counters *counters = counters_open_private();
    (void)state;
    struct route_counters *row = counters_route(counters, "GET /a\"b");
    assert_ptr_equal(row, counters_route(counters, "GET /a\"b"));
    assert_ptr_not_equal(row, counters_route(counters, "GET /c"));
    counters_request(row, 200, TIER_REDIS, 700);
    counters_request(row, 200, TIER_REDIS, 20000000);
    counters_request(row, 299, TIER_NONE, 0);
    counters_request(row, 304, TIER_L1, 0);
    assert_holds(counters,
                 "larder_requests_total{route=\"GET /a\\\"b\",status=\"200\",tier=\"redis\"} 2\n");
    assert_holds(counters, "{route=\"GET /a\\\"b\",status=\"0\",tier=\"none\"} 1\n");
    assert_holds(counters, "{route=\"GET /a\\\"b\",status=\"304\",tier=\"l1\"} 1\n");
    assert_holds(counters,
                 "larder_request_seconds_bucket{route=\"GET /a\\\"b\",le=\"0.0005\"} 2\n");
    assert_holds(counters, "larder_request_seconds_bucket{route=\"GET /a\\\"b\",le=\"0.001\"} 3\n");
    assert_holds(counters, "larder_request_seconds_bucket{route=\"GET /a\\\"b\",le=\"10\"} 3\n");
    assert_holds(counters, "larder_request_seconds_bucket{route=\"GET /a\\\"b\",le=\"+Inf\"} 4\n");
    assert_holds(counters, "larder_request_seconds_sum{route=\"GET /a\\\"b\"} 20.000700\n");
    assert_holds(counters, "larder_request_seconds_count{route=\"GET /a\\\"b\"} 4\n");
    counters_close(counters);
}

static void queued_writes_are_counted_by_route_and_end(void **state)
{
    struct counters *counters = counters_open_private();
    (void)state;
    struct route_counters *row = counters_route(counters, "POST /a");
    counters_job(row, COUNTER_JOB_AGAIN, 100);
    counters_job(row, COUNTER_JOB_CANCELLED, 100);
    counters_job(row, COUNTER_JOB_DONE, 2000000);
    counters_job(row, COUNTER_JOB_FAILED, 3000000);
    assert_holds(counters, "larder_route_jobs_total{route=\"POST /a\",end=\"tried_again\"} 1\n");
    assert_holds(counters, "larder_route_jobs_total{route=\"POST /a\",end=\"failed\"} 1\n");
    assert_holds(counters, "larder_job_seconds_sum{route=\"POST /a\"} 5.000000\n");
    assert_holds(counters, "larder_job_seconds_count{route=\"POST /a\"} 2\n");
    counters_close(counters);
}

static void too_many_routes_share_the_last_row(void **state)
{
    struct counters *counters = counters_open_private();
    struct route_counters *row = NULL;
    char name[32];
    (void)state;
    for (int i = 0; i < 2100; i++) {
        snprintf(name, sizeof name, "GET /%d", i);
        row = counters_route(counters, name);
        assert_true(counters_shares(counters, row) == (i >= 2048));
    }
    counters_request(row, 200, TIER_NONE, 1);
    assert_holds(counters, "{route=\"other\",status=\"200\",tier=\"none\"} 1\n");
    counters_close(counters);
}

static void processes_share_and_gauges_end_with_them(void **state)
{
    char folder[] = "/tmp/larder-counters-XXXXXX", file[64];
    struct counters *one, *two;
    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_true(counters_open(folder, &one, NULL));
    assert_true(counters_open(folder, &two, NULL));
    counters_add(one, COUNTER_QUERIES, 1);
    counters_add(two, COUNTER_QUERIES, 1);
    counters_add(two, COUNTER_DB_CONNECTIONS, 5);
    assert_holds(one, "\nlarder_queries_total 2\n");
    assert_holds(one, "\nlarder_db_connections 5\n");
    counters_close(two);
    assert_holds(one, "\nlarder_queries_total 2\n");
    assert_holds(one, "\nlarder_db_connections 0\n");
    counters_close(one);
    snprintf(file, sizeof file, "%s/counters-1", folder);
    unlink(file);
    rmdir(folder);
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    struct counters *counters;
    struct error error;
    (void)state;
    assert_false(counters_open("/nowhere/at/all", &counters, &error));
    assert_non_null(strstr(error.text, "/nowhere/at/all"));
}

UNIT_MAIN(cmocka_unit_test(every_counter_is_told_with_its_prose),
          cmocka_unit_test(requests_are_counted_by_route_status_and_tier),
          cmocka_unit_test(queued_writes_are_counted_by_route_and_end),
          cmocka_unit_test(too_many_routes_share_the_last_row),
          cmocka_unit_test(processes_share_and_gauges_end_with_them),
          cmocka_unit_test(a_folder_that_is_not_there_is_an_error))
