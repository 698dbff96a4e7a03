/*
 * Any text as a route file: a fault with its place inside the file, or a route that holds
 * together.
 */
#include <stdint.h>
#include <stdlib.h>

#include "route/table.h"

static unsigned lines_of(struct span text)
{
    unsigned lines = 1;
    for (size_t i = 0; i < text.size; i++)
        lines += text.data[i] == '\n' || text.data[i] == '\r';
    return lines;
}

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void route_check(const struct route *route)
{
    const struct statement *statement = &route->statement;
    for (unsigned i = 0; i < statement->parameter_count; i++)
        must(statement->param_of[i] < route->param_count);
    for (size_t i = 0; i < statement->placeholder_count; i++) {
        const struct placeholder *placeholder = &statement->placeholders[i];
        const char *name = route->params[statement->param_of[placeholder->number - 1]].name;
        must(span_is(placeholder->name, name));
    }
    must(route->segment_count > 0 && route->segment_count <= ROUTE_SEGMENTS_MAX);
    for (size_t i = 0; i < route->segment_count; i++)
        must(route->segments[i].param < (int)route->param_count);
}

static void route_try(const struct route_table *table, const struct route *route)
{
    struct route_match match;
    struct span segments[ROUTE_SEGMENTS_MAX];
    for (size_t i = 0; i < route->segment_count; i++)
        segments[i] = route->segments[i].param < 0 ? route->segments[i].text : span_of("7");
    route_table_match(table, segments, route->segment_count, &match);
    must(match.any && match.by_method[route->method] == route);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {.data = (const char *)data, .size = size};
    struct fault_list faults = {.arena = arena_new()};
    const struct route_source source = {.file = "fuzz.sql", .text = text};
    struct route_table *table = route_table_new(&source, 1, false, &faults);
    must(!faults.failed && !table == (faults.count > 0));
    fault_sort(&faults);
    for (size_t i = 0; i < faults.count; i++)
        must(faults.faults[i].line <= lines_of(text));
    if (table) {
        route_check(route_table_at(table, 0));
        route_try(table, route_table_at(table, 0));
    }
    route_table_unref(table);
    arena_free(faults.arena);
    fault_list_free(&faults);
    return 0;
}
