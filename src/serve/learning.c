#include "serve/learning.h"

#include "base/clock.h"
#include "base/log.h"
#include "cache/bump.h"
#include "serve/installed.h"
#include "serve/unwatched.h"

/* The clock of the last change of definitions this host can know of; UINT64_MAX: it can't know. */
static uint64_t definitions_clock(const struct server *server)
{
    static const struct span tag = {.data = CACHE_TAG_DEFINITIONS,
                                    .size = sizeof CACHE_TAG_DEFINITIONS - 1};
    uint64_t floor = server->feed ? feed_floor(server->feed) : UINT64_MAX;
    uint64_t struck = clocks_of(server->clocks, clocks_hash(tag));
    return floor > struck ? floor : struck;
}

bool learning_ask(struct server *server, struct live *live, struct fault_list *faults,
                  struct db_failure *failure)
{
    const struct db_settings settings = db_settings_of(server->options, LEARN_TIMEOUT);
    struct db_connection *connection;
    uint64_t clock = definitions_clock(server);
    if (!db_connect(&settings, clock_monotonic() + LEARN_CONNECT_TIMEOUT, &connection, failure))
        return false;
    bool told = db_pool_renew(server->pool, connection, LEARN_TIMEOUT, failure) &&
                live_learn(live, connection, faults, failure);
    /* Of routes that are served already some may have been asked about before. */
    if (told && live != server->live && clock != UINT64_MAX && !db_standby(connection))
        live_know(live, clock);
    if (told) {
        installed_ask(server, connection);
        unwatched_tell(server, live);
    }
    db_disconnect(connection);
    return told;
}

bool learning_is_current(const struct server *server, const struct live *live, uint64_t told)
{
    uint64_t known = live_known(live);
    return known && told <= known && definitions_clock(server) <= known;
}

bool learning_is_plain(const struct server *server, const struct live *live,
                       const struct learned *learned)
{
    return learned->plain && learning_is_current(server, live, 0);
}

/* How often PostgreSQL is tried while it has not told of all routes: µs. */
#define LEARN_PAUSE INT64_C(1000000)

static void tick_unasked(struct server *server)
{
    int64_t now = clock_monotonic();
    if (!live_unasked(server->live) || now < server->learn_next)
        return;
    struct arena *arena = arena_new();
    struct fault_list faults = {.arena = arena};
    struct db_failure failure;
    server->learn_next = now + LEARN_PAUSE;
    if (!arena)
        return;
    if (learning_ask(server, server->live, &faults, &failure)) {
        /* What was prepared before has other types. */
        db_pool_forget_prepared(server->pool);
        log_event(LOG_INFO, "database", "PostgreSQL has told the types of all routes");
    }
    fault_log(LOG_ERROR, "route", &faults);
    fault_list_free(&faults);
    arena_free(arena);
}

/* How long definitions that could not be learnt are left alone: µs. */
#define DEFINITIONS_PAUSE INT64_C(1000000)

/* What a standby tells is taken, once, but what the routes read can be asked of a primary alone. */
static bool learn_anew(struct server *server, uint64_t clock, struct fault_list *faults,
                       bool *ret_changed, struct db_failure *failure)
{
    const struct db_settings settings = db_settings_of(server->options, LEARN_TIMEOUT);
    struct db_connection *connection;
    if (!db_connect(&settings, clock_monotonic() + LEARN_CONNECT_TIMEOUT, &connection, failure))
        return false;
    bool standby = db_standby(connection);
    /* Settings may come to it later than word of their change. */
    bool told = db_pool_renew(server->pool, connection, LEARN_TIMEOUT, failure) &&
                ((standby && server->definitions_standby == clock) ||
                 live_learn_anew(server->live, connection, faults, ret_changed, failure));
    if (told && standby)
        server->definitions_standby = clock;
    db_disconnect(connection);
    return told && !standby;
}

static void tick_definitions(struct server *server)
{
    uint64_t clock = definitions_clock(server);
    int64_t now = clock_monotonic();
    if (clock == UINT64_MAX || learning_is_current(server, server->live, 0) ||
        live_unasked(server->live) || now < server->definitions_next)
        return;
    struct arena *arena = arena_new();
    struct fault_list faults = {.arena = arena};
    struct db_failure failure;
    bool changed = false;
    server->definitions_next = now + DEFINITIONS_PAUSE;
    if (arena && learn_anew(server, clock, &faults, &changed, &failure)) {
        live_know(server->live, clock);
        server->definitions_next = 0;
    }
    if (changed) {
        db_pool_forget_prepared(server->pool);
        log_event(LOG_INFO, "database", "definitions changed: what the routes read is learnt anew");
        unwatched_tell(server, server->live);
    }
    fault_log(LOG_ERROR, "route", &faults);
    fault_list_free(&faults);
    arena_free(arena);
}

void learning_tick(struct server *server)
{
    tick_unasked(server);
    tick_definitions(server);
}
