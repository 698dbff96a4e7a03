#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/cache_control.h"

/* What is read, written again in the fixed order. */
static const struct read_case {
    const char *header;
    const char *written;
} reads[] = {
    {NULL, ""},
    {"", ""},
    {"public, max-age=3600", "public, max-age=3600"},
    {"max-age=3600,public", "public, max-age=3600"},
    {"private, no-cache", "private, no-cache"},
    {"No-Store", "no-store"},
    {"max-age=\"10\"", "max-age=10"},
    {"max-age=0", "max-age=0"},
    {"max-age=007", "max-age=7"},
    {"max-age=600, stale-while-revalidate=30, stale-if-error=86400",
     "max-age=600, stale-while-revalidate=30, stale-if-error=86400"},
    {"s-maxage=5, must-revalidate, proxy-revalidate, no-transform, immutable, must-understand, "
     "only-if-cached",
     "no-transform, must-revalidate, proxy-revalidate, must-understand, immutable, "
     "only-if-cached, s-maxage=5"},
    /* a field list counts as the whole directive, commas inside included */
    {"private=\"set-cookie, x-max-age\", max-age=1", "private, max-age=1"},
    {"no-cache=\"a\\\", max-age=9\"", "no-cache"},
    /* unknown and malformed ones are passed over */
    {"community=\"UCI\", max-stale=1, foo, =, =1, max-age=2", "max-age=2"},
    {"publicc, xpublic, public-", ""},
    {",,public,,", "public"},
    {"\"public\"", ""},
    /* the first of two counts */
    {"max-age=1, max-age=2", "max-age=1"},
    /* a number that doesn't parse is stale, one too large is 2^31 */
    {"max-age", "max-age=0"},
    {"max-age=", "max-age=0"},
    {"max-age=\"\"", "max-age=0"},
    {"max-age=\"", "max-age=0"},
    {"max-age=x", "max-age=0"},
    {"max-age=-1", "max-age=0"},
    {"max-age=1.5", "max-age=0"},
    {"max-age=x, max-age=5", "max-age=0"},
    {"max-age=2147483648", "max-age=2147483648"},
    {"max-age=2147483649", "max-age=2147483648"},
    {"max-age=99999999999999999999999999", "max-age=2147483648"},
};

static void reads_what_can_be_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(reads); i++) {
        struct bytes out = BYTES_EMPTY;
        struct cache_control control = cache_control_parse(span_of(reads[i].header));
        cache_control_write(&control, &out);
        assert_string_equal(bytes_text(&out), reads[i].written);
        bytes_free(&out);
    }
}

static void fills_the_member_of_each_name(void **state)
{
    (void)state;
    struct cache_control control =
        cache_control_parse(SPAN_LITERAL("no-cache, must-revalidate, max-age=1, s-maxage=2, "
                                         "stale-while-revalidate=3, stale-if-error=4"));
    assert_true(control.no_cache && control.must_revalidate);
    assert_false(control.public || control.private || control.no_store || control.immutable);
    assert_int_equal(control.max_age, 1);
    assert_int_equal(control.s_maxage, 2);
    assert_int_equal(control.stale_while_revalidate, 3);
    assert_int_equal(control.stale_if_error, 4);
    control = cache_control_parse(SPAN_LITERAL("public"));
    assert_true(control.public && !control.no_cache);
    assert_int_equal(control.max_age, CACHE_CONTROL_NONE);
}

static const struct shared_case {
    const char *header;
    bool shared;
} shared_cases[] = {
    {"", false},
    {"no-cache", false},
    {"max-age=60", false},
    {"public", true},
    {"public, max-age=60", true},
    {"s-maxage=60", true},
    {"s-maxage=0", false},
    {"public, private", false},
    {"public, private=\"x\"", false},
    {"public, no-store", false},
    {"private, no-cache", false},
};

static void is_shared_only_in_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(shared_cases); i++) {
        struct cache_control control = cache_control_parse(span_of(shared_cases[i].header));
        assert_int_equal(cache_control_shared(&control), shared_cases[i].shared);
    }
}

/* The start of the complaint; null: none. */
static const struct check_case {
    const char *header;
    const char *complaint;
} checks[] = {
    {"no-cache", NULL},
    {"private, no-cache", NULL},
    {"public, max-age=3600", NULL},
    {"Public,MAX-AGE=3600,Immutable", NULL},
    {"max-age=600, stale-while-revalidate=30", NULL},
    {"no-store", NULL},
    {"no-store, max-age=0", NULL},
    {"s-maxage=60, max-age=5, stale-if-error=60", NULL},
    {"", "there is no directive"},
    {" , ", "there is no directive"},
    {"pubic", "\"pubic\" is not a directive of a response: public, private, "},
    {"only-if-cached", "\"only-if-cached\" is not a directive of a response"},
    {"public max-age=1", "\"public max-age\" is not a directive"},
    {"public; max-age=1", "\"public; max-age\" is not a directive"},
    {"max-age=1, MAX-AGE=1", "max-age is given twice"},
    {"public=1", "public takes no value"},
    {"no-cache=\"set-cookie\"", "no-cache takes no value"},
    {"max-age", "max-age must be a whole number of seconds, not \"\""},
    {"max-age=1h", "max-age must be a whole number of seconds, not \"1h\""},
    {"max-age=-1", "max-age must be a whole number of seconds, not \"-1\""},
    {"public, private", "public and private exclude each other"},
    {"no-store, max-age=60", "no-store excludes a lifetime"},
    {"no-store, stale-if-error=60", "no-store excludes a lifetime"},
    {"private, s-maxage=60", "s-maxage is for shared caches"},
    {"s-maxage=60, stale-while-revalidate=5", "s-maxage forbids what"},
};

static void complains_about_what_no_route_should_send(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(checks); i++) {
        struct error error = {0};
        bool good = cache_control_check(span_of(checks[i].header), &error);
        assert_int_equal(good, checks[i].complaint == NULL);
        assert_int_equal(error.kind, good ? ERROR_NONE : ERROR_INVALID);
        if (!good && !span_starts(span_of(error.text), checks[i].complaint))
            fail_msg("%s: %s", checks[i].header, error.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_can_be_read),
        cmocka_unit_test(fills_the_member_of_each_name),
        cmocka_unit_test(is_shared_only_in_words),
        cmocka_unit_test(complains_about_what_no_route_should_send),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
