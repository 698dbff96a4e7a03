#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <libdeflate.h>

#include "base/bytes.h"
#include "cache/gzip.h"

/* Small, so that it is filled often. */
#define ROOM 61

static void write_all(struct gzip *gzip, struct span text, enum gzip_flush flush, struct bytes *out)
{
    char into[ROOM];
    size_t size;
    do {
        size = gzip_write(gzip, &text, flush, into, sizeof into);
        bytes_append(out, into, size);
    } while (size == sizeof into);
    assert_int_equal(text.size, 0);
}

static void assert_holds(const struct bytes *coded, const struct bytes *text)
{
    struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
    char *back = malloc(text->size + 1);
    size_t size = 0;
    assert_non_null(decompressor);
    assert_non_null(back);
    assert_int_equal(
        libdeflate_gzip_decompress(decompressor, coded->data, coded->size, back, text->size, &size),
        LIBDEFLATE_SUCCESS);
    assert_int_equal(size, text->size);
    if (size)
        assert_memory_equal(back, text->data, size);
    free(back);
    libdeflate_free_decompressor(decompressor);
}

static void codes_pieces_of_every_size(void **state)
{
    (void)state;
    for (unsigned piece = 0; piece < 3000; piece += 500) {
        struct gzip *gzip = gzip_new();
        struct bytes text = BYTES_EMPTY, coded = BYTES_EMPTY;
        assert_non_null(gzip);
        for (unsigned i = 0; i < 10; i++) {
            size_t before = text.size;
            for (unsigned n = 0; n < piece; n++)
                bytes_append_byte(&text, (char)(n * n * 31 + i));
            struct span added = span_from(bytes_span(&text), before);
            write_all(gzip, added, i % 3 ? GZIP_GATHER : GZIP_FLUSH, &coded);
        }
        write_all(gzip, (struct span){0}, GZIP_END, &coded);
        assert_holds(&coded, &text);
        bytes_free(&text);
        bytes_free(&coded);
        gzip_free(gzip);
    }
}

static void a_flush_gives_all_that_came(void **state)
{
    (void)state;
    struct gzip *gzip = gzip_new();
    struct bytes coded = BYTES_EMPTY;
    assert_non_null(gzip);
    write_all(gzip, SPAN_LITERAL("a few bytes"), GZIP_GATHER, &coded);
    size_t gathered = coded.size;
    write_all(gzip, (struct span){0}, GZIP_FLUSH, &coded);
    assert_true(coded.size > gathered + 4);
    assert_memory_equal(coded.data + coded.size - 4, "\0\0\xff\xff", 4);
    bytes_free(&coded);
    gzip_free(gzip);
    gzip_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_pieces_of_every_size),
        cmocka_unit_test(a_flush_gives_all_that_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
