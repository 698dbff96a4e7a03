#include "route/table.h"

#include <stdatomic.h>
#include <stdlib.h>

struct route_table {
    atomic_size_t references;
    struct arena *arena;
    struct route **routes; /* sorted by shape, then method */
    size_t count;
    bool files_jobs;
};

static bool is_parameter(const struct route_segment *segment)
{
    return segment->param >= 0;
}

/* Literals by their bytes, parameters after them, all parameters alike. */
static int segment_compare(const struct route_segment *a, const struct route_segment *b)
{
    if (is_parameter(a) || is_parameter(b))
        return (int)is_parameter(a) - (int)is_parameter(b);
    size_t size = a->text.size < b->text.size ? a->text.size : b->text.size;
    int order = size ? memcmp(a->text.data, b->text.data, size) : 0;
    return order ? order : (a->text.size > b->text.size) - (a->text.size < b->text.size);
}

static int shape_compare(const struct route *a, const struct route *b)
{
    for (size_t i = 0; i < a->segment_count && i < b->segment_count; i++) {
        int order = segment_compare(&a->segments[i], &b->segments[i]);
        if (order)
            return order;
    }
    return (a->segment_count > b->segment_count) - (a->segment_count < b->segment_count);
}

static int route_compare(const struct route *a, const struct route *b)
{
    int order = shape_compare(a, b);
    return order ? order : (a->method > b->method) - (a->method < b->method);
}

/* Where the route belongs, behind its equals. */
static size_t place_find(const struct route_table *table, const struct route *route)
{
    size_t low = 0, high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (route_compare(table->routes[middle], route) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void route_insert(struct route_table *table, struct route *route, struct fault_list *faults)
{
    size_t at = place_find(table, route);
    const struct route *before = at ? table->routes[at - 1] : NULL;
    if (before && route_compare(before, route) == 0) {
        fault_add(faults, route->file, route->line, 0,
                  "%s is the same route as %s at %s:%u; a method and a shape of path have one file",
                  route->name, before->name, before->file, before->line);
        route_release(route);
        return;
    }
    memmove(&table->routes[at + 1], &table->routes[at],
            (table->count - at) * sizeof *table->routes);
    table->routes[at] = route;
    table->count++;
}

static bool source_add(struct route_table *table, const struct route_source *source,
                       struct fault_list *faults)
{
    char *file = arena_text(table->arena, span_of(source->file));
    struct span text = arena_span(table->arena, source->text);
    if (!file || !text.data)
        return false;
    struct route *route = route_parse(file, text, table->arena, faults);
    if (route) {
        table->files_jobs = table->files_jobs || route->async.present;
        route_insert(table, route, faults);
    }
    return !faults->failed;
}

static struct route_table *table_alloc(size_t count)
{
    struct route_table *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    atomic_init(&table->references, 1);
    table->arena = arena_new();
    if (table->arena)
        table->routes = arena_array(table->arena, count, sizeof(struct route *));
    if (table->routes)
        return table;
    route_table_unref(table);
    return NULL;
}

/* The parameters' names in place of their values match the same routes. */
const struct route *route_table_read(const struct route_table *table, struct span path)
{
    struct path parsed;
    struct span at, segments[ROUTE_SEGMENTS_MAX];
    const char *problem;
    struct route_match match;
    if (!path_parse(path, table->arena, &parsed, &at, &problem))
        return NULL;
    for (size_t i = 0; i < parsed.count; i++)
        segments[i] = parsed.segments[i].text;
    route_table_match(table, segments, parsed.count, &match);
    return match.by_method[METHOD_GET];
}

/* Why a read can't be made anew by its path alone; null: it can. */
static const char *refreshed_problem(const struct route *read)
{
    if (!read)
        return "there is no such route";
    if (!read->cache.present)
        return "it has no @cache, so there is nothing to make anew";
    for (size_t i = 0; i < read->param_count; i++)
        if (read->params[i].required && read->params[i].place != PLACE_PATH)
            return "it has a parameter that must be given, beside those in its path";
    return NULL;
}

static void refreshes_check(const struct route_table *table, struct fault_list *faults)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct route *route = table->routes[i];
        for (size_t j = 0; j < route->refresh_count; j++) {
            struct span path = route->refreshes[j].path;
            const char *problem = refreshed_problem(route_table_read(table, path));
            if (problem)
                fault_add(faults, route->file, route->refreshes[j].line, 0,
                          "@refreshes GET %.*s: %s", SPAN_PRINTF(path), problem);
        }
    }
}

static bool is_below_jobs(const struct route *route)
{
    return route->segment_count > 1 && route->segments[0].param < 0 &&
           span_is(route->segments[0].text, "jobs");
}

static void jobs_check(const struct route_table *table, struct fault_list *faults)
{
    for (size_t i = 0; table->files_jobs && i < table->count; i++) {
        const struct route *route = table->routes[i];
        if (is_below_jobs(route))
            fault_add(faults, route->file, route->line, 0,
                      "%s lies below /jobs/, where Larder tells of the jobs that @async files; "
                      "give it another path",
                      route->name);
    }
}

struct route_table *route_table_new(const struct route_source *sources, size_t count,
                                    bool keep_good, struct fault_list *faults)
{
    size_t before = faults->count;
    struct route_table *table = table_alloc(count);
    bool good = table != NULL;
    for (size_t i = 0; i < count && good; i++)
        good = source_add(table, &sources[i], faults);
    if (good && faults->count == before)
        refreshes_check(table, faults);
    if (good)
        jobs_check(table, faults);
    if (!good)
        faults->failed = true;
    if (good && (keep_good || faults->count == before))
        return table;
    route_table_unref(table);
    return NULL;
}

struct route_table *route_table_ref(struct route_table *table)
{
    if (table)
        atomic_fetch_add_explicit(&table->references, 1, memory_order_relaxed);
    return table;
}

void route_table_unref(struct route_table *table)
{
    if (!table || atomic_fetch_sub_explicit(&table->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < table->count; i++)
        route_release(table->routes[i]);
    arena_free(table->arena);
    free(table);
}

bool route_table_files_jobs(const struct route_table *table)
{
    return table->files_jobs;
}

size_t route_table_count(const struct route_table *table)
{
    return table->count;
}

const struct route *route_table_at(const struct route_table *table, size_t index)
{
    return table->routes[index];
}

/* The routes whose first segments are what was matched so far: they stand together. */
struct range {
    size_t low, high;
};

struct search {
    struct route *const *routes;
    const struct span *segments;
    size_t count;
};

/* The first route in the range whose segment at `depth` is not before `wanted` (or, `past` it). */
static size_t range_bound(const struct search *search, struct range range, size_t depth,
                          const struct route_segment *wanted, bool past)
{
    while (range.low < range.high) {
        size_t middle = range.low + (range.high - range.low) / 2;
        const struct route *route = search->routes[middle];
        int order =
            route->segment_count <= depth ? -1 : segment_compare(&route->segments[depth], wanted);
        if (order < 0 || (past && order == 0))
            range.low = middle + 1;
        else
            range.high = middle;
    }
    return range.low;
}

static struct range range_narrow(const struct search *search, struct range range, size_t depth,
                                 const struct route_segment *wanted)
{
    return (struct range){
        .low = range_bound(search, range, depth, wanted, false),
        .high = range_bound(search, range, depth, wanted, true),
    };
}

/* The routes of the shape that ends here stand before those that go on. */
static struct range range_ending(const struct search *search, struct range range)
{
    size_t high = range.low;
    while (high < range.high && search->routes[high]->segment_count == search->count)
        high++;
    return (struct range){.low = range.low, .high = high};
}

/* The routes of the first shape that fits, literals tried first; an empty range: none. */
static struct range shape_find(const struct search *search, struct range range, size_t depth)
{
    if (depth == search->count)
        return range_ending(search, range);
    const struct route_segment kinds[] = {
        {.text = search->segments[depth], .param = -1},
        {.param = 0},
    };
    size_t tries = search->segments[depth].size ? 2 : 1;
    for (size_t i = 0; i < tries && range.low < range.high; i++) {
        struct range narrowed = range_narrow(search, range, depth, &kinds[i]);
        if (narrowed.low == narrowed.high)
            continue;
        struct range found = shape_find(search, narrowed, depth + 1);
        if (found.low < found.high)
            return found;
    }
    return (struct range){0};
}

static void values_set(struct route_match *match, const struct route *route,
                       const struct span *segments)
{
    for (size_t i = 0; i < route->segment_count; i++)
        if (is_parameter(&route->segments[i]))
            match->values[match->value_count++] = segments[i];
}

void route_table_match(const struct route_table *table, const struct span *segments, size_t count,
                       struct route_match *ret_match)
{
    const struct search search = {.routes = table->routes, .segments = segments, .count = count};
    memset(ret_match, 0, sizeof *ret_match);
    if (count > ROUTE_SEGMENTS_MAX)
        return;
    struct range found = shape_find(&search, (struct range){.high = table->count}, 0);
    for (size_t i = found.low; i < found.high; i++)
        ret_match->by_method[table->routes[i]->method] = table->routes[i];
    ret_match->any = found.low < found.high;
    if (ret_match->any)
        values_set(ret_match, table->routes[found.low], segments);
}
