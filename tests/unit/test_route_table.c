#include "unit.h"

#include <stdlib.h>

#include "http/target.h"
#include "route/table.h"

#define FILE_OF(route)                                                                             \
    {                                                                                              \
        .file = route, .text = {                                                                   \
            "-- @http " route "\nSELECT 1",                                                        \
            sizeof("-- @http " route "\nSELECT 1") - 1                                             \
        }                                                                                          \
    }

static const struct route_source sources[] = {
    FILE_OF("GET /"),          FILE_OF("GET /a"),           FILE_OF("POST /a"),
    FILE_OF("GET /a/"),        FILE_OF("GET /a/b"),         FILE_OF("GET /a/{x}"),
    FILE_OF("PUT /a/{y}"),     FILE_OF("GET /a/{x}/c"),     FILE_OF("GET /{p}/{q}/d"),
    FILE_OF("GET /{p}/b/{r}"), FILE_OF("GET /a/b/{z}/end"), FILE_OF("DELETE /a/b"),
};

static const struct {
    const char *path;
    const char *route;  /* its GET's name; null: no match */
    const char *values; /* with ',' between */
} paths[] = {
    {"/", "GET /", ""},
    {"/a", "GET /a", ""},
    {"/a/", "GET /a/", ""},
    {"/b", NULL, ""},
    {"/b/", NULL, ""},
    {"/a/b", "GET /a/b", ""},
    {"/a/c", "GET /a/{x}", "c"},
    {"/a/%62", "GET /a/b", ""},
    {"/a/b%2Fc", "GET /a/{x}", "b/c"},
    {"/a/%7Bx%7D", "GET /a/{x}", "{x}"},
    {"/a/b/c", "GET /a/{x}/c", "b"},
    {"/a/b/d", "GET /{p}/b/{r}", "a,d"},
    {"/a/b/e", "GET /{p}/b/{r}", "a,e"},
    {"/x/b/d", "GET /{p}/b/{r}", "x,d"},
    {"/x/y/d", "GET /{p}/{q}/d", "x,y"},
    {"/x//d", NULL, ""},
    {"/a/b/9/end", "GET /a/b/{z}/end", "9"},
    {"/a/b/9/end/", NULL, ""},
    {"/A", NULL, ""},
};

static struct route_match match(const struct route_table *table, const char *path,
                                struct arena *arena)
{
    struct span segments[ROUTE_SEGMENTS_MAX];
    struct route_match found;
    size_t count;
    assert_true(target_segments(span_of(path), arena, segments, ROUTE_SEGMENTS_MAX, &count, NULL));
    route_table_match(table, segments, count, &found);
    return found;
}

static void finds_the_route(void **state)
{
    struct arena *arena = arena_new();
    struct fault_list faults = {.arena = arena};
    struct route_table *table = route_table_new(sources, ARRAY_COUNT(sources), false, &faults);
    (void)state;
    assert_non_null(table);
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        struct route_match found = match(table, paths[i].path, arena);
        struct span values = span_of(paths[i].values);
        assert_int_equal(found.any, paths[i].route != NULL);
        if (!paths[i].route)
            continue;
        assert_string_equal(found.by_method[METHOD_GET]->name, paths[i].route);
        for (size_t v = 0; v < found.value_count; v++)
            assert_true(span_equal(found.values[v], span_split(&values, ',')));
        assert_int_equal(values.size, 0);
    }
    struct route_match both = match(table, "/a/7", arena);
    assert_string_equal(both.by_method[METHOD_PUT]->name, "PUT /a/{y}");
    assert_null(both.by_method[METHOD_POST]);
    assert_null(match(table, "/a/b", arena).by_method[METHOD_PUT]);
    assert_non_null(match(table, "/a/b", arena).by_method[METHOD_DELETE]);
    route_table_unref(table);
    arena_free(arena);
}

static void is_in_order(void **state)
{
    static const char *const names[] = {
        "GET /",      "GET /a",       "POST /a",          "GET /a/",
        "GET /a/b",   "DELETE /a/b",  "GET /a/b/{z}/end", "GET /a/{x}",
        "PUT /a/{y}", "GET /a/{x}/c", "GET /{p}/b/{r}",   "GET /{p}/{q}/d",
    };
    struct arena *arena = arena_new();
    struct fault_list faults = {.arena = arena};
    struct route_table *table = route_table_new(sources, ARRAY_COUNT(sources), false, &faults);
    (void)state;
    assert_int_equal(route_table_count(table), ARRAY_COUNT(names));
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        assert_string_equal(route_table_at(table, i)->name, names[i]);
    route_table_unref(table);
    arena_free(arena);
}

static void keeps_the_good_ones(void **state)
{
    static const struct route_source mixed[] = {
        FILE_OF("GET /a/{x}"), FILE_OF("GET /a/{y}"),  FILE_OF("GETS /b"),
        FILE_OF("PUT /a/{y}"), FILE_OF("GET /a/{x}/"),
    };
    struct arena *arena = arena_new();
    struct fault_list faults = {.arena = arena};
    (void)state;
    assert_null(route_table_new(mixed, ARRAY_COUNT(mixed), false, &faults));
    assert_int_equal(faults.count, 2);
    assert_string_equal(faults.faults[0].file, "GET /a/{y}");
    assert_int_equal(faults.faults[0].line, 1);
    assert_string_equal(faults.faults[0].text,
                        "GET /a/{y} is the same route as GET /a/{x} at GET /a/{x}:1; a method and "
                        "a shape of path have one file");
    struct route_table *table = route_table_new(mixed, ARRAY_COUNT(mixed), true, &faults);
    assert_non_null(table);
    assert_int_equal(route_table_count(table), 3);
    route_table_unref(table);
    fault_list_free(&faults);
    arena_free(arena);
}

static void copies_its_sources(void **state)
{
    char file[] = "GET /x", text[] = "-- Doc\n-- @http GET /x\n-- @param n pattern=a+\nSELECT :n";
    const struct route_source source = {.file = file, .text = span_of(text)};
    struct arena *arena = arena_new();
    struct fault_list faults = {.arena = arena};
    struct route_table *table = route_table_new(&source, 1, false, &faults);
    (void)state;
    memset(file, 'z', sizeof file - 1);
    memset(text, 'z', sizeof text - 1);
    assert_string_equal(route_table_at(table, 0)->file, "GET /x");
    assert_true(span_is(route_table_at(table, 0)->summary, "Doc"));
    assert_string_equal(route_table_at(table, 0)->params[0].name, "n");
    assert_ptr_equal(route_table_ref(table), table);
    route_table_unref(table);
    assert_int_equal(route_table_count(table), 1);
    route_table_unref(table);
    route_table_unref(NULL);
    assert_null(route_table_ref(NULL));
    arena_free(arena);
}

static void holds_nothing(void **state)
{
    struct arena *arena = arena_new();
    struct fault_list faults = {.arena = arena};
    struct route_table *table = route_table_new(NULL, 0, false, &faults);
    (void)state;
    assert_int_equal(route_table_count(table), 0);
    assert_false(match(table, "/a", arena).any);
    route_table_unref(table);
    arena_free(arena);
}

/* At each of 31 segments both a literal and a parameter lead on in some route. */
static void is_never_exponential(void **state)
{
    enum { DEPTH = 31, ROUTES = 2 * DEPTH };
    struct route_source many[ROUTES];
    struct arena *arena = arena_new();
    struct fault_list faults = {.arena = arena};
    (void)state;
    for (int i = 0; i < ROUTES; i++) {
        const char *path = "";
        for (int segment = 0; segment < DEPTH; segment++)
            path = (segment * ROUTES + i * segment) % (i / 2 + 2) == i % 2
                       ? arena_format(arena, "%s/{p%d}", path, segment)
                       : arena_format(arena, "%s/a", path);
        const char *text = arena_format(arena, "-- @http GET %s/end%d\nSELECT 1", path, i);
        many[i] = (struct route_source){.file = text, .text = span_of(text)};
    }
    struct route_table *table = route_table_new(many, ROUTES, false, &faults);
    assert_non_null(table);
    struct span segments[ROUTE_SEGMENTS_MAX];
    for (int i = 0; i < ROUTE_SEGMENTS_MAX; i++)
        segments[i] = span_of("a");
    struct route_match found;
    for (int i = 0; i < 1000; i++)
        route_table_match(table, segments, ROUTE_SEGMENTS_MAX, &found);
    assert_false(found.any);
    segments[DEPTH] = span_of("end7");
    route_table_match(table, segments, ROUTE_SEGMENTS_MAX, &found);
    assert_true(found.any);
    route_table_unref(table);
    arena_free(arena);
}

UNIT_MAIN(cmocka_unit_test(finds_the_route), cmocka_unit_test(is_in_order),
          cmocka_unit_test(keeps_the_good_ones), cmocka_unit_test(copies_its_sources),
          cmocka_unit_test(holds_nothing), cmocka_unit_test(is_never_exponential))
