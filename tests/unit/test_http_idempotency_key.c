#include "unit.h"

#include "http/idempotency_key.h"

static void assert_key(struct span header, const char *expected)
{
    struct idempotency_key key;
    bool read = idempotency_key_read(header, &key);
    if (read != !!expected)
        fail_msg("%.*s: %s", SPAN_PRINTF(header), read ? "taken" : "refused");
    if (read)
        assert_true(span_is((struct span){.data = key.text, .size = key.size}, expected));
}

static void reads_both_forms(void **state)
{
    static const struct {
        const char *header, *key; /* key null: refused */
    } cases[] = {
        {"\"8e03978e-40d5-43e8-bc93-6894a57f9324\"", "8e03978e-40d5-43e8-bc93-6894a57f9324"},
        {" 8e03978e-40d5-43e8-bc93-6894a57f9324\t", "8e03978e-40d5-43e8-bc93-6894a57f9324"},
        {"\"a \\\"b\\\\ c,;\"", "a \"b\\ c,;"},
        {"YWJj+/=", "YWJj+/="},
        {"\"\"", NULL},
        {"", NULL},
        {"\"", NULL},
        {"\"a", NULL},
        {"a\"", NULL},
        {"a b", NULL},
        {"a,b", NULL},
        {"\"a\";x=1", NULL},
        {"\"a\\\"", NULL},
        {"\"a\\n\"", NULL},
        {"\"a\"b\"", NULL},
        {"\"\xc3\xa9\"", NULL},
        {"\xc3\xa9", NULL},
        {"\"a\x01\"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_key(span_of(cases[i].header), cases[i].key);
}

static void bounds_the_length(void **state)
{
    char text[IDEMPOTENCY_KEY_MAX + 2];
    (void)state;
    memset(text, 'k', sizeof text);
    text[IDEMPOTENCY_KEY_MAX + 1] = '\0';
    assert_key(span_of(text), NULL);
    text[IDEMPOTENCY_KEY_MAX] = '\0';
    assert_key(span_of(text), text);
}

UNIT_MAIN(cmocka_unit_test(reads_both_forms), cmocka_unit_test(bounds_the_length))
