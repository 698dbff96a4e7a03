#include "unit.h"

#include "limit/limiter.h"

/* A Redis that is not there. */
static struct limiter *limiter_away(struct counters *counters)
{
    const struct limiter_settings settings = {.present = true,
                                              .address = {.host = "127.0.0.1", .port = 1},
                                              .prefix = "larder",
                                              .probe = 1000000,
                                              .counters = counters};
    return limiter_new(&settings);
}

/* Decides one request within so many µs; *ret_event is what Redis is said to be. */
static enum limiter_outcome decide(int64_t budget, struct error *ret_event)
{
    struct counters *counters = counters_open_private();
    struct limiter *limiter = limiter_away(counters);
    struct redis_connection *connection;
    struct limit_request request = {
        .counts = {{.name = "count", .rate = {.interval = 1, .most = 10}}}, .count = 1};
    struct limit_request *const requests[] = {&request};
    *ret_event = (struct error){0};
    assert_true(limiter_connection(limiter, &connection));
    limiter_decide(limiter, connection, requests, 1, &budget, ret_event);
    redis_connection_free(connection);
    limiter_free(limiter);
    counters_close(counters);
    return request.outcome;
}

static void without_redis_the_process_counts(void **state)
{
    struct error event;
    (void)state;
    assert_int_equal(decide(1000000, &event), LIMITER_AWAY);
    assert_true(event.text[0]);
}

static void too_little_time_to_ask_says_nothing_of_redis(void **state)
{
    struct error event;
    (void)state;
    assert_int_equal(decide(REDIS_LEAST - 1, &event), LIMITER_AWAY);
    assert_string_equal(event.text, "");
}

UNIT_MAIN(cmocka_unit_test(without_redis_the_process_counts),
          cmocka_unit_test(too_little_time_to_ask_says_nothing_of_redis))
