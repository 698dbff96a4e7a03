#include "unit.h"

#include "http/client_address.h"

#define PROXIES "10.0.0.0/8, 2001:db8:1::/48, unix"

static const struct client_case {
    const char *remote, *first, *second, *client; /* lines of X-Forwarded-For; who it is */
} cases[] = {
    {"192.0.2.1", NULL, NULL, "192.0.2.1"},
    {"192.0.2.1", "203.0.113.1", NULL, "192.0.2.1"}, /* no proxy of ours: not believed */
    {"10.0.0.1", NULL, NULL, "10.0.0.1"},
    {"10.0.0.1", "", NULL, "10.0.0.1"},
    {"10.0.0.1", "203.0.113.1", NULL, "203.0.113.1"},
    {"10.0.0.1", "203.0.113.1:4711", NULL, "203.0.113.1"},
    {"10.0.0.1", "198.51.100.1, 203.0.113.1", NULL, "203.0.113.1"}, /* the client's own words */
    {"10.0.0.1", "203.0.113.1, 10.0.0.7", NULL, "203.0.113.1"},
    {"10.0.0.1", "203.0.113.1 ,, 10.0.0.7 ,", NULL, "203.0.113.1"},
    {"10.0.0.1", "198.51.100.1", "203.0.113.1", "203.0.113.1"},
    {"10.0.0.1", "198.51.100.1, 203.0.113.1", "10.0.0.7", "203.0.113.1"},
    {"10.0.0.1", "203.0.113.1, unknown", NULL, "10.0.0.1"},
    {"10.0.0.1", "203.0.113.1, unknown, 10.0.0.7", NULL, "10.0.0.7"},
    {"10.0.0.1", "10.0.0.2, 10.0.0.3", NULL, "10.0.0.2"},
    {"::ffff:10.0.0.1", "::ffff:203.0.113.1", NULL, "203.0.113.1"},
    {"2001:db8:1::1", "[2001:db8:2::9]:80", NULL, "2001:db8:2::"},
    {"2001:db8:7:8:9::1", NULL, NULL, "2001:db8:7:8::"},
    {"unix:", "203.0.113.1", NULL, "203.0.113.1"},
};

static struct span name_of(const char *remote, const char *first, const char *second,
                           unsigned char name[static CLIENT_NAME_SIZE])
{
    struct networks *proxies = networks_new(SPAN_LITERAL(PROXIES));
    const struct span lines[] = {span_of(first), span_of(second)};
    size_t size;
    client_name(span_of(remote), lines, ARRAY_COUNT(lines), proxies, name, &size);
    networks_free(proxies);
    return (struct span){.data = (const char *)name, .size = size};
}

static void finds_the_client(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        unsigned char name[CLIENT_NAME_SIZE], wanted[CLIENT_NAME_SIZE];
        struct span found = name_of(cases[i].remote, cases[i].first, cases[i].second, name);
        if (!span_equal(found, name_of(cases[i].client, NULL, NULL, wanted)))
            fail_msg("case %zu: %s, %s", i, cases[i].remote, cases[i].first);
    }
}

static void clients_are_told_apart(void **state)
{
    unsigned char a[CLIENT_NAME_SIZE], b[CLIENT_NAME_SIZE];
    (void)state;
    assert_true(span_equal(name_of("2001:db8:7:8::1", NULL, NULL, a),
                           name_of("2001:db8:7:8:ffff::2", NULL, NULL, b)));
    assert_false(span_equal(name_of("2001:db8:7:8::1", NULL, NULL, a),
                            name_of("2001:db8:7:9::1", NULL, NULL, b)));
    assert_false(
        span_equal(name_of("192.0.2.1", NULL, NULL, a), name_of("192.0.2.2", NULL, NULL, b)));
    assert_true(span_is(name_of("unix:", NULL, NULL, a), "unix:"));
    assert_int_equal(name_of("", NULL, NULL, a).size, 0);
}

UNIT_MAIN(cmocka_unit_test(finds_the_client), cmocka_unit_test(clients_are_told_apart))
