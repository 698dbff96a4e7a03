/*
 * Every allocation of reading routes fails once, in turn: nothing crashes, leaks or is taken for a
 * fault of the file. Linked with --wrap for malloc, calloc, realloc and reallocarray.
 */
#include "unit.h"

#include <stdlib.h>

#include "route/table.h"

static long allocations_left; /* until one fails; 0: none will */
static bool allocation_failed;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_reallocarray(void *memory, size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);

static bool allocation_fails(void)
{
    if (!allocations_left || --allocations_left)
        return false;
    allocation_failed = true;
    return true;
}

static void allocation_fail_at(long n)
{
    allocations_left = n;
    allocation_failed = false;
}

void *__wrap_malloc(size_t size)
{
    return allocation_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return allocation_fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return allocation_fails() ? NULL : __real_realloc(memory, size);
}

void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
    return allocation_fails() ? NULL : __real_reallocarray(memory, count, size);
}

#define TEXT_1000                                                                                  \
    "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901" \
    "23456789"                                                                                     \
    "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901" \
    "23456789"                                                                                     \
    "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901" \
    "23456789"                                                                                     \
    "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901" \
    "23456789"

static const char route_text[] =
    "-- Summary " TEXT_1000 TEXT_1000 TEXT_1000 "\n"
    "-- @http GET /a/{id}/b%20c\n"
    "-- @param id bigint min=1 max=100\n"
    "-- @param ids int[] default={1,2}\n"
    "-- @param sort text enum=a,b,c default=a\n"
    "-- @param q text pattern='[a-z]{1,20}' maxlen=20 default="
    "abc"
    "\n"
    "-- @param n numeric min=1.5\n"
    "-- @cache ttl=5s\n"
    "-- @tags a b:{id}\n"
    "-- @depends a.b = :id and c = :n for d, e\n"
    "SELECT (:id), :ids, :sort, :q, :n, :now, '" TEXT_1000 TEXT_1000 TEXT_1000 "'";

static const char faulty_text[] = "-- @htp GET /a\n-- @param x int min=a\n-- @cache tll=5s\n"
                                  "SELECT 'open " TEXT_1000 TEXT_1000 TEXT_1000 TEXT_1000;

/* Reads both files with the n-th allocation failing; false once there is none such. */
static bool read_failing(const char *text, long n, bool good)
{
    const struct route_source source = {.file = "f.sql", .text = span_of(text)};
    struct fault_list faults = {.arena = arena_new()};
    allocation_fail_at(n);
    struct route_table *table = route_table_new(&source, 1, false, &faults);
    bool failed = allocation_failed;
    allocations_left = 0;
    assert_int_equal(faults.failed, failed);
    assert_int_equal(table != NULL, good && !failed);
    if (good)
        assert_int_equal(faults.count, 0);
    route_table_unref(table);
    arena_free(faults.arena);
    fault_list_free(&faults);
    return failed;
}

static void survives_each_failure(void **state)
{
    long good = 1, faulty = 1;
    (void)state;
    while (read_failing(route_text, good, true))
        good++;
    while (read_failing(faulty_text, faulty, false))
        faulty++;
    assert_true(good > 10 && faulty > 2);
}

/* A good value's problem is null when memory ran out; a bad one's never otherwise. */
static bool value_failing(const struct param *param, const char *given, long n, bool good)
{
    struct arena *arena = arena_new();
    struct value value;
    const char *problem = "unset";
    allocation_fail_at(n);
    bool read =
        param_read(param, param->type, param->array, span_of(given), arena, &value, &problem);
    bool failed = allocation_failed;
    allocations_left = 0;
    assert_int_equal(read, good && !failed);
    if (failed && good)
        assert_null(problem);
    else if (!read && !failed)
        assert_non_null(problem);
    arena_free(arena);
    return failed;
}

static void values_survive_each_failure(void **state)
{
    static const struct {
        enum param_type type;
        bool array;
        const char *given;
        bool good;
    } rows[] = {
        {TYPE_INTEGER, false, "7", true},     {TYPE_INTEGER, false, "x", false},
        {TYPE_INTEGER, true, "{1,2}", true},  {TYPE_INTEGER, true, "{1,x}", false},
        {TYPE_INTEGER, true, "{{1}}", false}, {TYPE_TEXT, true, "{\"a b\",c}", true},
        {TYPE_DOUBLE, false, "1.5", true},    {TYPE_TIMESTAMP, false, "2024-01-01T00:00", true},
        {TYPE_JSON, false, "[1]", true},      {TYPE_JSON, false, "[1", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct param param = {
            .name = "x", .type = rows[i].type, .array = rows[i].array, .maxlen = -1};
        long n = 1;
        while (value_failing(&param, rows[i].given, n, rows[i].good))
            n++;
        assert_true(n > 1);
    }
}

UNIT_MAIN(cmocka_unit_test(survives_each_failure), cmocka_unit_test(values_survive_each_failure))
