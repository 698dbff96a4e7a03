#include "unit.h"

#include "route/fault.h"
#include "route/place.h"

static void sorts_by_place(void **state)
{
    static const char *const order[] = {"a whole", "a 1", "a 2:3 first", "a 2:3 second", "b 1:5"};
    struct arena *arena = arena_new();
    struct fault_list faults = {.arena = arena};
    char file[] = "a";
    (void)state;
    fault_add(&faults, "b", 1, 5, "b %d:%d", 1, 5);
    fault_add(&faults, file, 2, 3, "a 2:3 first");
    fault_add(&faults, "a", 2, 3, "a 2:3 second");
    fault_add(&faults, "a", 1, 0, "a 1");
    fault_add(&faults, "a", 0, 0, "a whole");
    file[0] = 'z';
    fault_sort(&faults);
    assert_int_equal(faults.count, ARRAY_COUNT(order));
    for (size_t i = 0; i < ARRAY_COUNT(order); i++)
        assert_string_equal(faults.faults[i].text, order[i]);
    assert_string_equal(faults.faults[2].file, "a");
    assert_false(faults.failed);
    fault_list_free(&faults);
    assert_int_equal(faults.count, 0);
    fault_list_free(&faults);
    fault_list_free(NULL);
    arena_free(arena);
}

static void grows(void **state)
{
    struct arena *arena = arena_new();
    struct fault_list faults = {.arena = arena};
    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        fault_add(&faults, "a", 1000 - i, 0, "line %u", 1000 - i);
    fault_sort(&faults);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(faults.faults[i].line, i + 1);
    fault_list_free(&faults);
    arena_free(arena);
}

static void counts_lines_and_characters(void **state)
{
    static const char text[] = "\xef\xbb\xbf"
                               "a\xc3\xa9z\r\nb\rc\n\nd";
    static const struct {
        size_t offset;
        unsigned line, column;
    } places[] = {
        {0, 1, 1}, {3, 1, 1},  {4, 1, 2},  {6, 1, 3},  {7, 1, 4},  {8, 1, 5},
        {9, 2, 1}, {10, 2, 2}, {11, 3, 1}, {13, 4, 1}, {14, 5, 1}, {15, 5, 2},
    };
    struct place walking = PLACE_START;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        struct place place = place_of(span_of(text), places[i].offset);
        place_advance(&walking, span_of(text), places[i].offset);
        assert_int_equal(place.line, places[i].line);
        assert_int_equal(place.column, places[i].column);
        assert_int_equal(walking.line, place.line);
        assert_int_equal(walking.column, place.column);
    }
}

UNIT_MAIN(cmocka_unit_test(sorts_by_place), cmocka_unit_test(grows),
          cmocka_unit_test(counts_lines_and_characters))
