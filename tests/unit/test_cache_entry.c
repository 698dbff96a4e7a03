#include "unit.h"

#include <stdlib.h>

#include "cache/entry.h"

static struct entry_meta sample(void)
{
    return (struct entry_meta){.status = 200,
                               .created = 1700000000000000,
                               .ttl = 300000000,
                               .stale = 60000000,
                               .error = 3600000000,
                               .cost = 1234,
                               .clock = 42,
                               .tag = "abcdefghijklmnopqrstuv",
                               .sizes = {100, 50, 40},
                               .variants = 7,
                               .type = SPAN_LITERAL("application/json"),
                               .next = SPAN_LITERAL("AgAAbbb"),
                               .previous = SPAN_LITERAL("AwAAccc"),
                               .tags = {SPAN_LITERAL("users"), SPAN_LITERAL("feeds:7")},
                               .tag_count = 2};
}

static void what_is_written_is_read(void **state)
{
    struct bytes record = BYTES_EMPTY;
    struct entry_meta meta = sample(), found;
    (void)state;
    entry_meta_write(&meta, &record);
    assert_true(entry_meta_read(bytes_span(&record), &found));
    assert_int_equal(found.status, 200);
    assert_true(found.created == meta.created && found.ttl == meta.ttl);
    assert_true(found.stale == meta.stale && found.error == meta.error);
    assert_true(found.cost == meta.cost && found.clock == meta.clock);
    assert_string_equal(found.tag, meta.tag);
    assert_memory_equal(found.sizes, meta.sizes, sizeof meta.sizes);
    assert_int_equal(found.variants, 7);
    assert_true(span_equal(found.type, meta.type));
    assert_true(span_equal(found.next, meta.next));
    assert_true(span_equal(found.previous, meta.previous));
    assert_int_equal(found.tag_count, 2);
    assert_true(span_equal(found.tags[1], meta.tags[1]));
    bytes_free(&record);
}

/* Each prefix in memory of its own size, so that a sanitizer sees a read beyond it. */
static void a_cut_record_is_no_entry(void **state)
{
    struct bytes record = BYTES_EMPTY;
    struct entry_meta meta = sample(), found;
    (void)state;
    entry_meta_write(&meta, &record);
    for (size_t size = 0; size < record.size; size++) {
        char *cut = malloc(size + 1);
        memcpy(cut, record.data, size);
        assert_false(entry_meta_read((struct span){cut, size}, &found));
        free(cut);
    }
    bytes_append_byte(&record, 'x');
    assert_false(entry_meta_read(bytes_span(&record), &found));
    bytes_free(&record);
}

static void any_changed_byte_is_read_or_refused_within_bounds(void **state)
{
    struct bytes record = BYTES_EMPTY;
    struct entry_meta meta = sample(), found;
    (void)state;
    entry_meta_write(&meta, &record);
    for (size_t at = 0; at < record.size; at++) {
        for (int change = 1; change < 256; change += 17) {
            record.data[at] = (char)(record.data[at] ^ change);
            if (entry_meta_read(bytes_span(&record), &found)) {
                assert_in_range(found.status, 100, 599);
                assert_in_range(found.tag_count, 0, ENTRY_TAGS_MAX);
            }
            record.data[at] = (char)(record.data[at] ^ change);
        }
    }
    bytes_free(&record);
}

static void a_header_can_not_be_forged_through_a_tag(void **state)
{
    struct bytes record = BYTES_EMPTY;
    struct entry_meta meta = sample(), found;
    (void)state;
    meta.tag[3] = '\n';
    entry_meta_write(&meta, &record);
    assert_false(entry_meta_read(bytes_span(&record), &found));
    bytes_free(&record);
}

static void a_header_can_not_be_forged_through_the_type(void **state)
{
    struct bytes record = BYTES_EMPTY;
    struct entry_meta meta = sample(), found;
    (void)state;
    meta.type = SPAN_LITERAL("text/plain\r\nSet-Cookie: x=1");
    entry_meta_write(&meta, &record);
    assert_false(entry_meta_read(bytes_span(&record), &found));
    bytes_free(&record);
}

static void a_header_can_not_be_forged_through_a_cursor(void **state)
{
    struct bytes record = BYTES_EMPTY;
    struct entry_meta meta = sample(), found;
    (void)state;
    meta.previous = SPAN_LITERAL("AwAA\r\nSet-Cookie: x=1");
    entry_meta_write(&meta, &record);
    assert_false(entry_meta_read(bytes_span(&record), &found));
    bytes_free(&record);
}

static void a_size_beyond_all_bodies_is_no_entry(void **state)
{
    struct bytes record = BYTES_EMPTY;
    struct entry_meta meta = sample(), found;
    (void)state;
    meta.sizes[1] = UINT64_MAX;
    entry_meta_write(&meta, &record);
    assert_false(entry_meta_read(bytes_span(&record), &found));
    bytes_free(&record);
}

static void a_sole_variant_has_a_field_of_its_own(void **state)
{
    (void)state;
    assert_string_equal(entry_field(1, CODING_IDENTITY), "s");
    assert_string_equal(entry_field(7, CODING_IDENTITY), "i");
    assert_string_equal(entry_field(7, CODING_GZIP), "g");
    assert_string_equal(entry_field(3, CODING_IDENTITY), "i");
    assert_string_equal(entry_field(7, CODING_BROTLI), "b");
}

static void each_variant_has_its_own_tag(void **state)
{
    struct entry_meta meta = sample();
    (void)state;
    assert_string_equal(entry_tag_of(&meta, CODING_IDENTITY).text, "abcdefghijklmnopqrstuv");
    assert_string_equal(entry_tag_of(&meta, CODING_GZIP).text, "abcdefghijklmnopqrstuv-gz");
    assert_string_equal(entry_tag_of(&meta, CODING_BROTLI).text, "abcdefghijklmnopqrstuv-br");
}

static void freshness_ends_with_the_ttl(void **state)
{
    struct entry_meta meta = sample();
    (void)state;
    assert_true(entry_fresh_for(&meta, meta.created) == meta.ttl);
    assert_true(entry_fresh_for(&meta, meta.created + meta.ttl) == 0);
    assert_true(entry_fresh_for(&meta, meta.created + meta.ttl + 5) == -5);
    assert_true(entry_fresh_for(&meta, meta.created - 1000) == meta.ttl);
    assert_true(entry_lifetime(&meta) == meta.ttl + meta.error);
}

UNIT_MAIN(cmocka_unit_test(what_is_written_is_read), cmocka_unit_test(a_cut_record_is_no_entry),
          cmocka_unit_test(any_changed_byte_is_read_or_refused_within_bounds),
          cmocka_unit_test(a_header_can_not_be_forged_through_a_tag),
          cmocka_unit_test(a_header_can_not_be_forged_through_the_type),
          cmocka_unit_test(a_header_can_not_be_forged_through_a_cursor),
          cmocka_unit_test(a_size_beyond_all_bodies_is_no_entry),
          cmocka_unit_test(a_sole_variant_has_a_field_of_its_own),
          cmocka_unit_test(each_variant_has_its_own_tag),
          cmocka_unit_test(freshness_ends_with_the_ttl))
