#include "unit.h"

#include "redis/resolver.h"

static struct redis_resolver *resolver_for(struct redis_address *address, const char *host)
{
    *address = (struct redis_address){.host = host, .port = 6379};
    struct redis_resolver *resolver = redis_resolver_new(address);
    assert_non_null(resolver);
    return resolver;
}

static void a_number_is_known_at_once(void **state)
{
    static const char *const numbers[] = {"127.0.0.1", "::1", "10.20.30.40"};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        struct redis_address address;
        char number[REDIS_NUMBER_SIZE];
        struct redis_resolver *resolver = resolver_for(&address, numbers[i]);
        assert_false(redis_resolver_needed(resolver));
        assert_true(redis_resolver_number(resolver, number));
        assert_string_equal(number, numbers[i]);
        redis_resolver_free(resolver);
    }
}

/* Connections must find out that there is no number yet rather than look it up themselves. */
static void a_name_has_no_number_until_it_is_looked_up(void **state)
{
    struct redis_address address;
    char number[REDIS_NUMBER_SIZE];
    struct redis_resolver *resolver = resolver_for(&address, "localhost");
    (void)state;
    assert_true(redis_resolver_needed(resolver));
    assert_false(redis_resolver_number(resolver, number));
    assert_true(redis_resolver_refresh(resolver, NULL));
    assert_true(redis_resolver_number(resolver, number));
    assert_true(strcmp(number, "127.0.0.1") == 0 || strcmp(number, "::1") == 0);
    redis_resolver_free(resolver);
}

static void a_name_nobody_has_is_named(void **state)
{
    struct redis_address address;
    struct error error;
    char number[REDIS_NUMBER_SIZE];
    struct redis_resolver *resolver = resolver_for(&address, "no host, but a sentence");
    (void)state;
    assert_false(redis_resolver_refresh(resolver, &error));
    assert_int_equal(error.kind, ERROR_UNAVAILABLE);
    assert_non_null(strstr(error.text, "no host, but a sentence"));
    assert_false(redis_resolver_number(resolver, number));
    redis_resolver_free(resolver);
}

static void a_socket_needs_none(void **state)
{
    const struct redis_address address = {.path = "/run/redis.sock"};
    struct redis_resolver *resolver = redis_resolver_new(&address);
    (void)state;
    assert_false(redis_resolver_needed(resolver));
    assert_true(redis_resolver_refresh(resolver, NULL));
    redis_resolver_free(resolver);
}

UNIT_MAIN(cmocka_unit_test(a_number_is_known_at_once),
          cmocka_unit_test(a_name_has_no_number_until_it_is_looked_up),
          cmocka_unit_test(a_name_nobody_has_is_named), cmocka_unit_test(a_socket_needs_none))
