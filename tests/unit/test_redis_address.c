#include "unit.h"

#include "redis/address.h"

struct good_row {
    const char *url;
    struct redis_address expected;
};

static const struct good_row good_rows[] = {
    {"redis://localhost", {.host = "localhost", .port = 6379}},
    {"redis://10.0.0.7:6380/2", {.host = "10.0.0.7", .port = 6380, .database = 2}},
    {"redis://h/", {.host = "h", .port = 6379}},
    {"redis://[::1]:7000", {.host = "::1", .port = 7000}},
    {"redis://[fe80::2]", {.host = "fe80::2", .port = 6379}},
    {"redis://:secret@h", {.host = "h", .port = 6379, .password = "secret"}},
    {"redis://ann:p%40ss%2Fword@h:1/3",
     {.host = "h", .port = 1, .user = "ann", .password = "p@ss/word", .database = 3}},
    {"unix:/run/redis.sock", {.path = "/run/redis.sock"}},
    {"unix:///run/redis.sock", {.path = "/run/redis.sock"}},
    {"unix://ann:p%40ss%2Fword@/run/redis.sock?db=4",
     {.path = "/run/redis.sock", .user = "ann", .password = "p@ss/word", .database = 4}},
    {"unix://:se@cret@/run/r@redis.sock", {.path = "/run/r@redis.sock", .password = "se@cret"}},
    {"unix:/run/redis.sock?db=4", {.path = "/run/redis.sock", .database = 4}},
};

static void assert_text(const char *found, const char *expected)
{
    if (expected)
        assert_string_equal(found, expected);
    else
        assert_null(found);
}

static void good_addresses_are_read(void **state)
{
    struct arena *arena = arena_new();
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(good_rows); i++) {
        const struct redis_address *expected = &good_rows[i].expected;
        struct redis_address found;
        struct error error;
        assert_true(redis_address_parse(good_rows[i].url, arena, &found, &error));
        assert_text(found.host, expected->host);
        assert_text(found.path, expected->path);
        assert_text(found.user, expected->user);
        assert_text(found.password, expected->password);
        assert_int_equal(found.port, expected->port);
        assert_int_equal(found.database, expected->database);
    }
    arena_free(arena);
}

static const char *const bad_urls[] = {
    "",
    "localhost",
    "http://localhost",
    "redis://",
    "redis://:6379",
    "redis://h:0",
    "redis://h:65536",
    "redis://h:http",
    "redis://h/one",
    "redis://h/-1",
    "redis://user@h",
    "redis://ann:hunter2/x@h:6379/0",
    "redis://ann:12/hunter2@h:6379/0",
    "redis://:12/hunter2@h:6379/0",
    "redis://ann:hunter2",
    "unix://hunter2/run/redis.sock",
    "unix://ann:hunter2@",
    "unix://ann:hunter2%0@/run/redis.sock",
    "unix://ann@/run/redis.sock",
    "redis://[::1",
    "redis://[::1]x:6379",
    "redis://[]",
    "redis://:%zz@hunter2.example",
    "redis://:hunter2%0@h",
    "redis://:hunter2%00@h",
    "unix:/run/redis.sock?database=1",
    "unix:relative",
};

static void bad_addresses_are_named_without_their_secret(void **state)
{
    struct arena *arena = arena_new();
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad_urls); i++) {
        struct options options = {.values[OPTION_LIMIT_REDIS].text = bad_urls[i]};
        struct redis_address found;
        struct error error;
        assert_false(redis_address_of(&options, OPTION_LIMIT_REDIS, arena, &found, &error));
        assert_int_equal(error.kind, ERROR_INVALID);
        assert_non_null(strstr(error.text, "LARDER_LIMIT_REDIS: "));
        assert_null(strstr(error.text, "LARDER_REDIS"));
        assert_null(strstr(error.text, "hunter2"));
    }
    arena_free(arena);
}

static void two_slashes_before_a_path_are_told_of_by_an_example(void **state)
{
    struct arena *arena = arena_new();
    struct redis_address found;
    struct error error;
    (void)state;
    assert_false(redis_address_parse("unix://run/redis.sock", arena, &found, &error));
    assert_non_null(strstr(error.text, "as in unix:///run/redis.sock"));
    arena_free(arena);
}

UNIT_MAIN(cmocka_unit_test(good_addresses_are_read),
          cmocka_unit_test(two_slashes_before_a_path_are_told_of_by_an_example),
          cmocka_unit_test(bad_addresses_are_named_without_their_secret))
