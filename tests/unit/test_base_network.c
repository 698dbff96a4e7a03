#include "unit.h"

#include "base/network.h"

static const struct address_case {
    const char *text, *same; /* null: no address */
} addresses[] = {
    {"192.0.2.1", "192.0.2.1"},
    {"192.0.2.1:8080", "192.0.2.1"},
    {"::ffff:192.0.2.1", "192.0.2.1"},
    {"[::ffff:192.0.2.1]:80", "192.0.2.1"},
    {"2001:DB8::1", "2001:db8:0:0::1"},
    {"[2001:db8::1]", "2001:db8::1"},
    {"[2001:db8::1]:443", "2001:db8::1"},
    {"", NULL},
    {"unknown", NULL},
    {"unix:", NULL},
    {"192.0.2", NULL},
    {"192.0.2.256", NULL},
    {"192.0.2.1:", NULL},
    {"192.0.2.1:x", NULL},
    {"192.0.2.1:123456", NULL},
    {"[2001:db8::1", NULL},
    {"[2001:db8::1]x", NULL},
    {"[]", NULL},
    {"fe80::1%eth0", NULL},
    {"1:2:3:4:5:6:7:8:9", NULL},
    {"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", NULL},
};

static void reads_addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(addresses); i++) {
        struct address address, same;
        assert_int_equal(address_read(span_of(addresses[i].text), &address),
                         addresses[i].same != NULL);
        if (!addresses[i].same)
            continue;
        assert_true(address_read(span_of(addresses[i].same), &same));
        assert_memory_equal(address.bytes, same.bytes, sizeof same.bytes);
    }
    assert_false(address_read((struct span){"1.2.3.4\0", 8}, &(struct address){{0}}));
}

static const struct network_case {
    const char *networks, *address;
    bool has;
} cases[] = {
    {"10.0.0.0/8", "10.255.0.1", true},
    {"10.0.0.0/8", "11.0.0.1", false},
    {"10.0.0.0/8", "::ffff:10.0.0.1", true},
    {"192.0.2.129/25", "192.0.2.200", true},
    {"192.0.2.129/25", "192.0.2.127", false},
    {"192.0.2.1", "192.0.2.1", true},
    {"192.0.2.1", "192.0.2.2", false},
    {"0.0.0.0/0", "203.0.113.9", true},
    {"0.0.0.0/0", "2001:db8::1", false},
    {"::/0", "203.0.113.9", true},
    {"2001:db8::/33", "2001:db8:7fff::1", true},
    {"2001:db8::/33", "2001:db8:8000::1", false},
    {"::1", "::1", true},
    {" 127.0.0.1 , ::1,, 10.0.0.0/8,", "10.1.1.1", true},
    {"unix", "127.0.0.1", false},
    {"", "127.0.0.1", false},
};

static void knows_its_members(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct address address;
        struct networks *networks = networks_new(span_of(cases[i].networks));
        assert_non_null(networks);
        assert_true(address_read(span_of(cases[i].address), &address));
        assert_int_equal(networks_have(networks, &address), cases[i].has);
        assert_int_equal(networks_have_unix(networks), span_is(span_of(cases[i].networks), "unix"));
        networks_free(networks);
    }
}

static void refuses_what_is_no_network(void **state)
{
    static const char *const bad[] = {"10.0.0.0/33", "::/129",      "10.0.0.0/",      "10.0.0.0/x",
                                      "example.org", "10.0.0.1:80", "10.0.0.0/8 ::1", "/8"};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_false(networks_valid(span_of(bad[i])));
        assert_null(networks_new(span_of(bad[i])));
    }
}

UNIT_MAIN(cmocka_unit_test(reads_addresses), cmocka_unit_test(knows_its_members),
          cmocka_unit_test(refuses_what_is_no_network))
