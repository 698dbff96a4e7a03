#include "serve/unwatched.h"

#include "base/log.h"
#include "db/depends.h"

/* So many tables are named. */
#define NAMES_MAX 8

struct unwatched {
    const char *names[NAMES_MAX];
    size_t name_count;
    bool more; /* tables than these */
    size_t routes;
};

static void name_take(struct unwatched *unwatched, const char *name)
{
    for (size_t i = 0; i < unwatched->name_count; i++)
        if (strcmp(unwatched->names[i], name) == 0)
            return;
    if (unwatched->name_count < NAMES_MAX)
        unwatched->names[unwatched->name_count++] = name;
    else
        unwatched->more = true;
}

static void route_take(struct unwatched *unwatched, const struct served *served)
{
    const struct route *route = served->route;
    const struct learned *learned = atomic_load_explicit(&served->learned, memory_order_acquire);
    const struct depends *depends = learned->depends;
    size_t count = 0;
    if (!depends || (!route->cache.present && !route->nginx_ttl))
        return;
    for (size_t i = 0; i < depends->hazard_count; i++) {
        if (depends->hazards[i].kind != HAZARD_UNWATCHED)
            continue;
        name_take(unwatched, depends->hazards[i].name);
        count++;
    }
    unwatched->routes += count > 0;
}

static void tell(const struct unwatched *unwatched)
{
    struct bytes names CLEANUP(bytes_free) = BYTES_EMPTY;
    for (size_t i = 0; i < unwatched->name_count; i++)
        bytes_append_format(&names, "%s%s", i ? ", " : "", unwatched->names[i]);
    bytes_append_text(&names, unwatched->more ? ", …" : "");
    log_event(
        LOG_WARNING, "routes",
        "no triggers for what %zu route%s of %s: answers are kept for LARDER_GUARD_TTL alone; "
        "run \"larder install\"",
        unwatched->routes, unwatched->routes == 1 ? " reads" : "s read", bytes_text(&names));
}

void unwatched_tell(const struct server *server, struct live *live)
{
    struct unwatched unwatched = {.name_count = 0};
    if (!server->store)
        return;
    for (size_t i = 0; i < live_count(live); i++)
        route_take(&unwatched, live_at(live, i));
    if (unwatched.routes)
        tell(&unwatched);
}
