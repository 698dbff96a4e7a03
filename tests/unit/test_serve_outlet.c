#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdatomic.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "serve/outlet.h"

/* A reader who takes what he is told to take. */
struct reader {
    struct writer writer;
    struct bytes taken;
    size_t calls;
    size_t room; /* bytes he still takes; then he is late, or gone */
    bool leaves;
    int64_t waited; /* how long he was last waited for, µs */
};

static enum writer_outcome take(struct writer *writer, struct span *rest, int64_t until)
{
    struct reader *reader = (struct reader *)writer;
    reader->waited = until - clock_monotonic();
    reader->calls++;
    size_t size = rest->size < reader->room ? rest->size : reader->room;
    bytes_append_span(&reader->taken, span_first(*rest, size));
    *rest = span_from(*rest, size);
    reader->room -= size;
    if (!rest->size)
        return WRITER_SENT;
    return reader->leaves ? WRITER_GONE : WRITER_LATE;
}

static const _Atomic int64_t no_end;

static struct outlet_terms terms_of(struct reader *reader)
{
    *reader = (struct reader){.writer = {.send = take, .peer = -1}, .room = SIZE_MAX};
    return (struct outlet_terms){.writer = &reader->writer,
                                 .head = SPAN_LITERAL("head\r\n\r\n"),
                                 .until = clock_monotonic() + 60 * INT64_C(1000000),
                                 .end = &no_end,
                                 .notice = INT64_C(60) * 1000000,
                                 .stall = INT64_C(60) * 1000000};
}

static void finish(struct outlet *outlet, struct reader *reader)
{
    outlet_free(outlet);
    bytes_free(&reader->taken);
}

static void says_nothing_before_something_is_sent(void **state)
{
    (void)state;
    struct reader reader;
    struct outlet_terms terms = terms_of(&reader);
    struct outlet *outlet = outlet_new(&terms);
    assert_non_null(outlet);
    outlet_write(outlet, SPAN_LITERAL("body"));
    assert_true(outlet_holds(outlet));
    assert_int_equal(reader.calls, 0);
    assert_int_equal(outlet_opened(outlet), 0);
    outlet_flush(outlet);
    assert_false(outlet_holds(outlet));
    assert_true(outlet_opened(outlet) > 0);
    outlet_write(outlet, SPAN_LITERAL(" and more"));
    outlet_end(outlet);
    assert_string_equal(bytes_text(&reader.taken), "head\r\n\r\nbody and more");
    assert_int_equal(outlet_sent(outlet), 13);
    finish(outlet, &reader);
}

static void an_empty_body_has_its_head(void **state)
{
    (void)state;
    struct reader reader;
    struct outlet_terms terms = terms_of(&reader);
    struct outlet *outlet = outlet_new(&terms);
    outlet_flush(outlet);
    assert_int_equal(reader.calls, 0);
    outlet_end(outlet);
    assert_string_equal(bytes_text(&reader.taken), "head\r\n\r\n");
    finish(outlet, &reader);
}

static void gathers_small_pieces_and_passes_large_ones(void **state)
{
    (void)state;
    struct reader reader;
    struct outlet_terms terms = terms_of(&reader);
    struct outlet *outlet = outlet_new(&terms);
    static char large[300000];
    memset(large, 'x', sizeof large);
    for (unsigned i = 0; i < 10000; i++)
        outlet_write(outlet, SPAN_LITERAL("0123456789"));
    assert_int_equal(reader.calls, 2); /* the head, and one piece */
    outlet_write(outlet, (struct span){.data = large, .size = sizeof large});
    outlet_end(outlet);
    assert_int_equal(outlet_sent(outlet), 100000 + sizeof large);
    assert_int_equal(reader.taken.size, 8 + 100000 + sizeof large);
    assert_memory_equal(reader.taken.data + 8 + 99990, "0123456789x", 11);
    finish(outlet, &reader);
}

/* What the coder keeps back is sent by a flush though nothing was gathered. */
static void a_flush_is_for_what_the_coder_has_too(void **state)
{
    (void)state;
    struct reader reader;
    struct outlet_terms terms = terms_of(&reader);
    terms.gzip = true;
    struct outlet *outlet = outlet_new(&terms);
    static char large[100000];
    outlet_write(outlet, (struct span){.data = large, .size = sizeof large});
    size_t taken = reader.taken.size;
    assert_true(outlet_holds(outlet));
    outlet_flush(outlet);
    assert_true(reader.taken.size > taken);
    assert_false(outlet_holds(outlet));
    taken = reader.taken.size;
    outlet_flush(outlet);
    assert_int_equal(reader.taken.size, taken);
    finish(outlet, &reader);
}

static void a_reader_who_left_gets_no_more(void **state)
{
    (void)state;
    struct reader reader;
    struct outlet_terms terms = terms_of(&reader);
    struct outlet *outlet = outlet_new(&terms);
    reader.room = 3;
    reader.leaves = true;
    outlet_write(outlet, SPAN_LITERAL("body"));
    outlet_flush(outlet);
    assert_int_equal(outlet_state(outlet), OUTLET_GONE);
    reader.room = SIZE_MAX;
    outlet_write(outlet, SPAN_LITERAL("more"));
    outlet_end(outlet);
    assert_string_equal(bytes_text(&reader.taken), "hea");
    assert_int_equal(outlet_state(outlet), OUTLET_GONE);
    finish(outlet, &reader);
}

static void a_reader_who_takes_nothing_has_stalled(void **state)
{
    (void)state;
    struct reader reader;
    struct outlet_terms terms = terms_of(&reader);
    terms.stall = 1000;
    struct outlet *outlet = outlet_new(&terms);
    reader.room = 10;
    outlet_write(outlet, SPAN_LITERAL("body"));
    outlet_flush(outlet);
    assert_int_equal(outlet_state(outlet), OUTLET_STALLED);
    assert_string_equal(bytes_text(&reader.taken), "head\r\n\r\nbo");
    assert_int_equal(outlet_sent(outlet), 2);
    finish(outlet, &reader);
}

static void the_time_ends_for_one_and_for_all(void **state)
{
    (void)state;
    _Atomic int64_t end = 1;
    for (int all = 0; all < 2; all++) {
        struct reader reader;
        struct outlet_terms terms = terms_of(&reader);
        if (all)
            terms.end = &end;
        else
            terms.until = clock_monotonic() - 1;
        struct outlet *outlet = outlet_new(&terms);
        assert_true(outlet_time_over(outlet));
        outlet_write(outlet, SPAN_LITERAL("body"));
        assert_int_equal(outlet_state(outlet), OUTLET_OPEN);
        outlet_flush(outlet);
        assert_int_equal(outlet_state(outlet), OUTLET_LATE);
        finish(outlet, &reader);
    }
}

/* A hundred slow readers are waited for at little cost, and an end is still noticed in time. */
static void a_slow_reader_is_waited_for_as_long_as_nothing_ends(void **state)
{
    (void)state;
    static const int64_t second = 1000000;
    const struct {
        int64_t until, stall, end, notice; /* µs; end: 0: not so far */
        int64_t least, most;
    } rows[] = {
        {60 * second, 60 * second, 0, 60 * second, 4 * second, 5 * second},
        {60 * second, 60 * second, 0, 2 * second, 1 * second, 2 * second},
        {60 * second, 60 * second, 0, 0, 100000, 200000},
        {3 * second, 60 * second, 0, 60 * second, 2 * second, 3 * second},
        {60 * second, 3 * second, 0, 60 * second, 2 * second, 3 * second},
        {60 * second, 60 * second, 3 * second, 60 * second, 2 * second, 3 * second},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct reader reader;
        struct outlet_terms terms = terms_of(&reader);
        int64_t begun = clock_monotonic();
        _Atomic int64_t end = rows[i].end ? begun + rows[i].end : 0;
        terms.until = begun + rows[i].until;
        terms.stall = rows[i].stall;
        terms.notice = rows[i].notice;
        terms.end = &end;
        struct outlet *outlet = outlet_new(&terms);
        outlet_write(outlet, SPAN_LITERAL("body"));
        outlet_flush(outlet);
        assert_true(reader.waited > rows[i].least);
        assert_true(reader.waited <= rows[i].most);
        finish(outlet, &reader);
    }
}

static void count(void *told)
{
    (*(int *)told)++;
}

/* … whatever becomes of it then: nobody waits for him before that. */
static void a_reader_who_has_his_fill_is_told_of_once(void **state)
{
    (void)state;
    static const struct {
        size_t room;
        int told;
        enum outlet_state state;
    } rows[] = {{SIZE_MAX, 0, OUTLET_OPEN}, {10, 1, OUTLET_STALLED}, {3, 1, OUTLET_STALLED}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct reader reader;
        int told = 0;
        struct outlet_terms terms = terms_of(&reader);
        terms.stall = 1000;
        terms.full = count;
        terms.context = &told;
        struct outlet *outlet = outlet_new(&terms);
        reader.room = rows[i].room;
        outlet_write(outlet, SPAN_LITERAL("body"));
        outlet_flush(outlet);
        assert_int_equal(told, rows[i].told);
        assert_int_equal(outlet_state(outlet), rows[i].state);
        assert_true(told || reader.waited <= 0);
        finish(outlet, &reader);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_nothing_before_something_is_sent),
        cmocka_unit_test(an_empty_body_has_its_head),
        cmocka_unit_test(gathers_small_pieces_and_passes_large_ones),
        cmocka_unit_test(a_flush_is_for_what_the_coder_has_too),
        cmocka_unit_test(a_reader_who_left_gets_no_more),
        cmocka_unit_test(a_reader_who_takes_nothing_has_stalled),
        cmocka_unit_test(the_time_ends_for_one_and_for_all),
        cmocka_unit_test(a_slow_reader_is_waited_for_as_long_as_nothing_ends),
        cmocka_unit_test(a_reader_who_has_his_fill_is_told_of_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
