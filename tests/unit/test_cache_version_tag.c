#include "unit.h"

#include "cache/version_tag.h"

#define DIGEST "abcdefghijklmnopqrstuv"

static void tells_the_version_of_a_row(void **state)
{
    static const struct {
        const char *body, *tag;
    } rows[] = {
        {"{\"id\":1,\"v\":42}", DIGEST ".NDI"},
        {"{\"v\":\"42\"}", DIGEST ".NDI"},
        {"{\"v\":\"2026-01-02T03:04:05.123456+00:00\"}",
         DIGEST ".MjAyNi0wMS0wMlQwMzowNDowNS4xMjM0NTYrMDA6MDA"},
        {"{\"v\":\"\\u00fb\\u00ff~~~\"}", DIGEST ".w7vDv35+fg"},
        {"{\"v\":\"123456789012345678901234567890123456789012345678\"}",
         DIGEST ".MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4"},
        {"{\"v\":\"1234567890123456789012345678901234567890123456789\"}", DIGEST},
        {"{\"v\":\"\"}", DIGEST},
        {"{\"v\":null}", DIGEST},
        {"{\"v\":{\"v\":1}}", DIGEST},
        {"{\"w\":1}", DIGEST},
        {"", DIGEST},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char tag[ENTRY_TAG_MAX + 1] = DIGEST;
        version_tag_append(span_of(rows[i].body), SPAN_LITERAL("v"), tag);
        assert_string_equal(tag, rows[i].tag);
    }
}

static void reads_if_match(void **state)
{
    static const struct {
        const char *header, *version;
        enum version_kind kind;
    } cases[] = {
        {"*", NULL, VERSION_ANY},
        {" * ", NULL, VERSION_ANY},
        {"\"" DIGEST ".NDI\"", "42", VERSION_GIVEN},
        {"\"" DIGEST ".NDI-gz\"", "42", VERSION_GIVEN},
        {"\"x\", \"" DIGEST ".NDI-br\" , \"" DIGEST ".NDI\"", "42", VERSION_GIVEN},
        {"\"" DIGEST ".w7vDv35+fg\"", "\xc3\xbb\xc3\xbf~~~", VERSION_GIVEN},
        {"\"" DIGEST ".NDI\", \"" DIGEST ".NDM\"", NULL, VERSION_SEVERAL},
        {"W/\"" DIGEST ".NDI\"", NULL, VERSION_OTHER},
        {"\"" DIGEST "\"", NULL, VERSION_OTHER},
        {"\"" DIGEST "-gz\"", NULL, VERSION_OTHER},
        {"\"" DIGEST ".\"", NULL, VERSION_OTHER},
        {"\"" DIGEST ".A\"", NULL, VERSION_OTHER},
        {"\"" DIGEST ".AAAA\"", NULL, VERSION_OTHER},
        {"\"" DIGEST ".ND!\"", NULL, VERSION_OTHER},
        {"", NULL, VERSION_OTHER},
        {"NDI", NULL, VERSION_OTHER},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char version[VERSION_MAX + 1] = "";
        assert_int_equal(version_tag_read(span_of(cases[i].header), version), cases[i].kind);
        if (cases[i].version)
            assert_string_equal(version, cases[i].version);
    }
}

UNIT_MAIN(cmocka_unit_test(tells_the_version_of_a_row), cmocka_unit_test(reads_if_match))
