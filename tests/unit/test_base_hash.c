#include "unit.h"

#include "base/hash.h"

static const struct hash_key counting = {
    {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)}};

/* SipHash-1-3 of 00, 01, 02 … under the key 00 … 0f. */
static void the_hash_is_siphash_1_3(void **state)
{
    static const struct {
        size_t size;
        uint64_t hash;
    } rows[] = {{0, UINT64_C(0xabac0158050fc4dc)},  {1, UINT64_C(0xc9f49bf37d57ca93)},
                {7, UINT64_C(0xd3927d989bb11140)},  {8, UINT64_C(0x369095118d299a8e)},
                {15, UINT64_C(0xd320d86d2a519956)}, {16, UINT64_C(0xcc4fdd1a7d908b66)},
                {63, UINT64_C(0x9d199062b7bbb3a8)}};
    char data[64];
    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)i;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_true(hash_of(&counting, (struct span){data, rows[i].size}) == rows[i].hash);
}

static void another_key_gives_another_hash(void **state)
{
    const struct hash_key other = {{counting.words[0], counting.words[1] + 1}};
    (void)state;
    assert_true(hash_of(&counting, SPAN_LITERAL("a")) != hash_of(&other, SPAN_LITERAL("a")));
    assert_true(hash_of(&counting, (struct span){0}) != hash_of(&other, (struct span){0}));
}

UNIT_MAIN(cmocka_unit_test(the_hash_is_siphash_1_3),
          cmocka_unit_test(another_key_gives_another_hash))
