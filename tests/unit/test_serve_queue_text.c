#include "unit.h"

#include "serve/queue_text.h"

static const struct queue_job filed = {
    .state = QUEUE_QUEUED, .filed = INT64_C(1795000000123456), .of = 2};

static void assert_text(const struct queue_job *job, const char *expected)
{
    struct bytes text = BYTES_EMPTY;
    queue_text_write("id", job, &text);
    assert_string_equal(bytes_text(&text), expected);
    bytes_free(&text);
}

#define HEAD(status, done)                                                                         \
    "{\"id\":\"id\",\"status\":\"" status "\",\"progress\":{\"done\":" done                        \
    ",\"of\":2},\"filed\":\"2026-11-18T11:06:40.123456Z\",\"began\":null,\"ended\":null,"          \
    "\"tries\":0"

static void tells_what_there_is(void **state)
{
    struct queue_job job = filed;
    (void)state;
    assert_text(&job, HEAD("queued", "0") "}");
    job.next = INT64_C(1795000000000007);
    assert_text(&job, HEAD("queued", "0") ",\"next\":\"2026-11-18T11:06:40.000007Z\"}");
    job.state = QUEUE_RUNNING;
    job.cancelling = true;
    job.done = 1;
    assert_text(&job, HEAD("running", "1") ",\"cancelling\":true}");
    job.state = QUEUE_CANCELLED;
    assert_text(&job, HEAD("cancelled", "1") "}");
}

static void passes_bodies_on_as_they_are(void **state)
{
    struct queue_job job = filed;
    (void)state;
    job.state = QUEUE_DONE;
    assert_text(&job, HEAD("done", "0") ",\"result\":null}");
    job.type = span_of("application/json; charset=utf-8");
    job.body = span_of("[1.00,\n 2]");
    job.location = span_of("/a/\"b\"");
    assert_text(&job, HEAD("done", "0") ",\"location\":\"/a/\\\"b\\\"\",\"result\":[1.00,\n 2]}");
    job.type = span_of("text/plain");
    job.location = (struct span){0};
    assert_text(&job, HEAD("done", "0") ",\"result\":\"[1.00,\\n 2]\"}");
    job.type = span_of("application/problem+json");
    job.body = span_of("{}");
    assert_text(&job, HEAD("done", "0") ",\"result\":null,\"problem\":{}}");
    job.state = QUEUE_FAILED;
    assert_text(&job, HEAD("failed", "0") ",\"problem\":{}}");
}

static void each_line_of_an_event_is_one_of_data(void **state)
{
    struct bytes text = BYTES_EMPTY;
    (void)state;
    queue_text_event(QUEUE_DONE, "tag", span_of("[1,\n 2]"), &text);
    assert_string_equal(bytes_text(&text), "event: done\nid: tag\ndata: [1,\ndata:  2]\n\n");
    bytes_clear(&text);
    queue_text_event(QUEUE_DONE, "tag", span_of("[1,\revent: other\r\n2]"), &text);
    assert_string_equal(bytes_text(&text), "event: done\nid: tag\ndata: [1,\ndata: event: other\n"
                                           "data: \ndata: 2]\n\n");
    bytes_free(&text);
}

UNIT_MAIN(cmocka_unit_test(tells_what_there_is), cmocka_unit_test(passes_bodies_on_as_they_are),
          cmocka_unit_test(each_line_of_an_event_is_one_of_data))
