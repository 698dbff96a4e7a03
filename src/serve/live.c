#include "serve/live.h"

#include <stdlib.h>

#include "http/cache_control.h"
#include "http/header.h"
#include "http/vary.h"
#include "serve/folder.h"

struct live {
    _Atomic int references;
    struct arena *arena;
    struct route_table *table;
    struct served *served; /* sorted by the address of their routes */
    size_t count;
};

static int by_route(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct served *)a)->route;
    uintptr_t y = (uintptr_t)((const struct served *)b)->route;
    return (x > y) - (x < y);
}

static bool head_write(struct served *served, struct arena *arena)
{
    const struct route *route = served->route;
    struct bytes head = BYTES_EMPTY;
    bytes_append_text(&head, "Cache-Control: ");
    bytes_append_span(&head, served->control);
    if (route->cache.compress) {
        bytes_append_text(&head, "\r\nVary: ");
        vary_write(VARY_ACCEPT_ENCODING, &head);
    }
    bytes_append_text(&head, "\r\n");
    served->head = arena_span(arena, bytes_span(&head));
    bool good = !head.failed && served->head.data;
    bytes_free(&head);
    return good;
}

static bool served_init(struct served *served, const struct route *route, struct arena *arena,
                        struct counters *counters)
{
    served->route = route;
    served->counters = counters_route(counters, route->name);
    served->control = route->control.size ? route->control : SPAN_LITERAL("no-cache");
    struct cache_control control = cache_control_parse(served->control);
    served->shared = cache_control_shared(&control);
    struct learned *learned = learn_unasked(route, arena);
    atomic_init(&served->learned, learned);
    return learned && cache_version_of(route->text, &served->version, NULL) &&
           head_write(served, arena);
}

static bool live_fill(struct live *live, struct counters *counters)
{
    live->count = route_table_count(live->table);
    live->served = arena_array(live->arena, live->count, sizeof *live->served);
    if (!live->served)
        return false;
    for (size_t i = 0; i < live->count; i++)
        if (!served_init(&live->served[i], route_table_at(live->table, i), live->arena, counters))
            return false;
    qsort(live->served, live->count, sizeof *live->served, by_route);
    return true;
}

struct live *live_load(const char *folder, struct counters *counters, struct fault_list *faults)
{
    struct live *live = calloc(1, sizeof *live);
    struct route_source *sources;
    size_t count;
    if (!live)
        return NULL;
    atomic_init(&live->references, 1);
    live->arena = arena_new();
    if (live->arena && route_folder_read(folder, live->arena, faults, &sources, &count))
        live->table = route_table_new(sources, count, false, faults);
    if (live->table && faults->count == 0 && live_fill(live, counters))
        return live;
    live_unref(live);
    return NULL;
}

struct live *live_ref(struct live *live)
{
    atomic_fetch_add(&live->references, 1);
    return live;
}

void live_unref(struct live *live)
{
    if (!live || atomic_fetch_sub(&live->references, 1) != 1)
        return;
    route_table_unref(live->table);
    arena_free(live->arena);
    free(live);
}

const struct route_table *live_table(const struct live *live)
{
    return live->table;
}

size_t live_count(const struct live *live)
{
    return live->count;
}

struct served *live_at(struct live *live, size_t index)
{
    return &live->served[index];
}

struct served *live_find(struct live *live, const struct route *route)
{
    const struct served wanted = {.route = route};
    return bsearch(&wanted, live->served, live->count, sizeof wanted, by_route);
}

bool live_learn(struct live *live, struct db_connection *connection, struct fault_list *faults,
                struct db_failure *failure)
{
    for (size_t i = 0; i < live->count; i++) {
        struct served *served = &live->served[i];
        struct learned *learned;
        if (served->asked || served->route->statement.sql.size == 0)
            continue;
        if (!learn_route(connection, served->route, live->arena, faults, &learned, failure))
            return false;
        served->asked = true;
        if (learned)
            atomic_store(&served->learned, learned);
    }
    return true;
}

bool live_unasked(const struct live *live)
{
    for (size_t i = 0; i < live->count; i++)
        if (!live->served[i].asked && live->served[i].route->statement.sql.size)
            return true;
    return false;
}
