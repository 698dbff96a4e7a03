#include "serve/outdated.h"

#include "base/clock.h"
#include "http/target.h"

struct look {
    struct live *live;
    struct arena *arena;
};

static const struct route *route_of(const struct look *look, struct span target)
{
    struct span path, query, segments[ROUTE_SEGMENTS_MAX];
    struct route_match match = {.any = false};
    struct error error;
    size_t count;
    if (!target_split(target, &path, &query) ||
        !target_segments(path, look->arena, segments, ROUTE_SEGMENTS_MAX, &count, &error))
        return NULL;
    route_table_match(live_table(look->live), segments, count, &match);
    return match.by_method[METHOD_GET];
}

static bool is_current(void *context, struct span target, uint64_t version)
{
    const struct look *look = context;
    const struct route *route = route_of(look, target);
    const struct served *served = route ? live_find(look->live, route) : NULL;
    arena_reset(look->arena);
    return served && served->version.number == version;
}

void outdated_tick(struct server *server)
{
    if (!server->urls || server->outdated_looked)
        return;
    struct look look = {.live = server->live, .arena = arena_new()};
    if (!look.arena)
        return;
    server->outdated_looked = urls_outdate(server->urls, clock_wall(), is_current, &look);
    arena_free(look.arena);
}
