#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "http/coding.h"

#define ALL (CODING_BIT(CODING_IDENTITY) | CODING_BIT(CODING_GZIP) | CODING_BIT(CODING_BROTLI))
#define NO_BROTLI (CODING_BIT(CODING_IDENTITY) | CODING_BIT(CODING_GZIP))
#define PLAIN CODING_BIT(CODING_IDENTITY)
#define NONE CODING_COUNT

/* What is sent where everything, all but brotli, and identity alone is stored. */
static const struct choice_case {
    const char *header;
    enum coding all, no_brotli, plain;
} choices[] = {
    /* RFC 9110, section 12.5.3 */
    {NULL, CODING_IDENTITY, CODING_IDENTITY, CODING_IDENTITY},
    {"", CODING_IDENTITY, CODING_IDENTITY, CODING_IDENTITY},
    {"compress, gzip", CODING_GZIP, CODING_GZIP, CODING_IDENTITY},
    {"*", CODING_BROTLI, CODING_GZIP, CODING_IDENTITY},
    {"compress;q=0.5, gzip;q=1.0", CODING_GZIP, CODING_GZIP, CODING_IDENTITY},
    {"gzip;q=1.0, identity; q=0.5, *;q=0", CODING_GZIP, CODING_GZIP, CODING_IDENTITY},
    /* what browsers and tools send */
    {"gzip, deflate, br", CODING_BROTLI, CODING_GZIP, CODING_IDENTITY},
    {"gzip, deflate, br, zstd", CODING_BROTLI, CODING_GZIP, CODING_IDENTITY},
    {"gzip", CODING_GZIP, CODING_GZIP, CODING_IDENTITY},
    {"deflate", CODING_IDENTITY, CODING_IDENTITY, CODING_IDENTITY},
    {"identity", CODING_IDENTITY, CODING_IDENTITY, CODING_IDENTITY},
    {"x-gzip", CODING_GZIP, CODING_GZIP, CODING_IDENTITY},
    {"GZip, BR;Q=0.5", CODING_GZIP, CODING_GZIP, CODING_IDENTITY},
    /* weights */
    {"br;q=0.5, gzip;q=0.8", CODING_GZIP, CODING_GZIP, CODING_IDENTITY},
    {"br;q=0.8, gzip;q=0.8", CODING_BROTLI, CODING_GZIP, CODING_IDENTITY},
    {"br;q=0.001", CODING_BROTLI, CODING_IDENTITY, CODING_IDENTITY},
    {"br;q=0, gzip", CODING_GZIP, CODING_GZIP, CODING_IDENTITY},
    {"br;q=0.0, gzip;q=0.00, identity;q=0.5", CODING_IDENTITY, CODING_IDENTITY, CODING_IDENTITY},
    {"identity;q=1, gzip;q=0.5", CODING_IDENTITY, CODING_IDENTITY, CODING_IDENTITY},
    {"gzip;q=0.001", CODING_GZIP, CODING_GZIP, CODING_IDENTITY},
    /* identity shut out */
    {"identity;q=0", NONE, NONE, NONE},
    {"*;q=0", NONE, NONE, NONE},
    {"gzip, identity;q=0", CODING_GZIP, CODING_GZIP, NONE},
    {"gzip, *;q=0", CODING_GZIP, CODING_GZIP, NONE},
    {"br, *;q=0", CODING_BROTLI, NONE, NONE},
    {"*;q=0, identity", CODING_IDENTITY, CODING_IDENTITY, CODING_IDENTITY},
    {"identity;q=0, *", CODING_BROTLI, CODING_GZIP, NONE},
    {"*;q=0.5, identity", CODING_IDENTITY, CODING_IDENTITY, CODING_IDENTITY},
    {"gzip;q=0, *;q=0.5", CODING_BROTLI, CODING_IDENTITY, CODING_IDENTITY},
    /* malformed members are passed over */
    {"gzip;q=2, br", CODING_BROTLI, CODING_IDENTITY, CODING_IDENTITY},
    {"gzip;q=1.001", CODING_IDENTITY, CODING_IDENTITY, CODING_IDENTITY},
    {"gzip;q=x", CODING_IDENTITY, CODING_IDENTITY, CODING_IDENTITY},
    {"gzip;q=", CODING_IDENTITY, CODING_IDENTITY, CODING_IDENTITY},
    {"gzip;q=-1", CODING_IDENTITY, CODING_IDENTITY, CODING_IDENTITY},
    {"identity;q=0x", CODING_IDENTITY, CODING_IDENTITY, CODING_IDENTITY},
    {"gzip br", CODING_IDENTITY, CODING_IDENTITY, CODING_IDENTITY},
    {",, ,gzip,,", CODING_GZIP, CODING_GZIP, CODING_IDENTITY},
    {"gz, gzipp, b, bro", CODING_IDENTITY, CODING_IDENTITY, CODING_IDENTITY},
    {";q=1, gzip", CODING_GZIP, CODING_GZIP, CODING_IDENTITY},
    /* of a coding named twice the last counts */
    {"gzip, gzip;q=0", CODING_IDENTITY, CODING_IDENTITY, CODING_IDENTITY},
    {"gzip;q=0, x-gzip", CODING_GZIP, CODING_GZIP, CODING_IDENTITY},
    /* blanks and unknown parameters */
    {"  gzip \t;\tq=0.9 ; x=y ,br ; q=0.8", CODING_GZIP, CODING_GZIP, CODING_IDENTITY},
    {"gzip;x=y;q=0", CODING_IDENTITY, CODING_IDENTITY, CODING_IDENTITY},
};

static enum coding chosen(const char *header, unsigned available)
{
    struct coding_accept accept = coding_accept_parse(span_of(header));
    enum coding coding = NONE;
    return coding_choose(&accept, available, &coding) ? coding : NONE;
}

static void chooses_the_best_stored_variant(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(choices); i++) {
        assert_int_equal(chosen(choices[i].header, ALL), choices[i].all);
        assert_int_equal(chosen(choices[i].header, NO_BROTLI), choices[i].no_brotli);
        assert_int_equal(chosen(choices[i].header, PLAIN), choices[i].plain);
    }
}

static void an_absent_header_accepts_what_there_is(void **state)
{
    (void)state;
    assert_int_equal(chosen(NULL, CODING_BIT(CODING_GZIP)), CODING_GZIP);
    assert_int_equal(chosen("", CODING_BIT(CODING_GZIP)), NONE);
}

static void nothing_stored_is_nothing_chosen(void **state)
{
    (void)state;
    assert_int_equal(chosen("*", 0), NONE);
}

static void names_each_coding(void **state)
{
    (void)state;
    assert_string_equal(coding_names[CODING_IDENTITY], "identity");
    assert_string_equal(coding_names[CODING_GZIP], "gzip");
    assert_string_equal(coding_names[CODING_BROTLI], "br");
    assert_string_equal(coding_etag_suffixes[CODING_IDENTITY], "");
    assert_string_equal(coding_etag_suffixes[CODING_GZIP], "-gz");
    assert_string_equal(coding_etag_suffixes[CODING_BROTLI], "-br");
}

static void keeps_weights_in_thousandths(void **state)
{
    (void)state;
    struct coding_accept accept =
        coding_accept_parse(SPAN_LITERAL("gzip;q=0.123, br;q=1.000, identity;q=.2"));
    assert_int_equal(accept.quality[CODING_GZIP], 123);
    assert_int_equal(accept.quality[CODING_BROTLI], 1000);
    assert_int_equal(accept.quality[CODING_IDENTITY], 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chooses_the_best_stored_variant),
        cmocka_unit_test(an_absent_header_accepts_what_there_is),
        cmocka_unit_test(nothing_stored_is_nothing_chosen),
        cmocka_unit_test(names_each_coding),
        cmocka_unit_test(keeps_weights_in_thousandths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
