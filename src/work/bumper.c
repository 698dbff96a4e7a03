#include "work/bumper.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "cache/clocks.h"
#include "work/recent.h"

#define RECENT_TAGS 100000
#define RECENT_WINDOW (60 * INT64_C(1000000))

/* A call may take this long at least; it holds no request up. */
#define PATIENCE INT64_C(1000000)

/* So many tags cost one more PATIENCE. */
#define TAGS_EACH 5000

struct bumper {
    struct arena *arena;
    struct redis_address address;
    struct redis_resolver *resolver;
    struct redis_connection *connection;
    struct counters *counters;
    struct clocks *clocks; /* of the host, so that its responders need not hear of it first */
    struct recent *recent;
    const char *prefix;
    int64_t patience, guard;
    struct cache_server server; /* the one proved last; empty run_id: none yet */
    char told[48];              /* the run_id that the log has, of a server not proved since */
    int64_t last;               /* the number of the last bump known of */
    bool proved;
    bool was_replica;         /* since it was proved; what it knows now is another's */
    unsigned proved_connects; /* the connection on which it was */
};

static bool clocks_begin(struct bumper *bumper, const struct options *options, struct error *error)
{
    struct error reason;
    if (clocks_open(options_text(options, OPTION_RUN), &bumper->clocks, &reason))
        return true;
    log_event(LOG_WARNING, "clocks", "%s: this host's responders hear of changes by Redis alone",
              reason.text);
    bumper->clocks = clocks_open_private();
    return bumper->clocks ? true : error_set_memory(error);
}

static bool open_parts(struct bumper *bumper, const struct options *options, struct error *error)
{
    int64_t window = 2 * bumper->guard > RECENT_WINDOW ? 2 * bumper->guard : RECENT_WINDOW;
    bumper->arena = arena_new();
    if (!bumper->arena)
        return error_set_memory(error);
    if (!redis_address_of(options, OPTION_REDIS, bumper->arena, &bumper->address, error))
        return false;
    bumper->resolver = redis_resolver_new(&bumper->address);
    bumper->recent = recent_new(RECENT_TAGS, window, 0, clock_monotonic());
    if (!bumper->resolver || !bumper->recent)
        return error_set_memory(error);
    bumper->connection = redis_connection_new(&bumper->address, bumper->resolver);
    return bumper->connection ? true : error_set_memory(error);
}

bool bumper_new(const struct options *options, struct counters *counters,
                struct bumper **ret_bumper, struct error *error)
{
    struct bumper *bumper = calloc(1, sizeof *bumper);
    int64_t limit = options_number(options, OPTION_REDIS_TIMEOUT);
    if (!bumper)
        return error_set_memory(error);
    bumper->counters = counters;
    bumper->prefix = options_text(options, OPTION_PREFIX);
    bumper->guard = options_number(options, OPTION_GUARD_TTL);
    bumper->patience = limit > PATIENCE ? limit : PATIENCE;
    if (!clocks_begin(bumper, options, error) || !open_parts(bumper, options, error)) {
        bumper_free(bumper);
        return false;
    }
    *ret_bumper = bumper;
    return true;
}

void bumper_free(struct bumper *bumper)
{
    if (!bumper)
        return;
    redis_connection_free(bumper->connection);
    redis_resolver_free(bumper->resolver);
    recent_free(bumper->recent);
    clocks_close(bumper->clocks);
    arena_free(bumper->arena);
    free(bumper);
}

static int64_t deadline(const struct bumper *bumper, size_t tags)
{
    return clock_monotonic() + bumper->patience * (int64_t)(1 + tags / TAGS_EACH);
}

/* The next attempt starts from nothing: name, connection, proof. Always false. */
static bool doubt(struct bumper *bumper)
{
    bumper->proved = false;
    redis_disconnect(bumper->connection);
    counters_add(bumper->counters, COUNTER_REDIS_ERRORS, 1);
    return false;
}

/* A call may have reopened the connection, at another server perhaps. */
static bool still_proved(const struct bumper *bumper)
{
    return bumper->proved && redis_connects(bumper->connection) == bumper->proved_connects;
}

static void tell_host(struct bumper *bumper, const struct span *tags, size_t count,
                      const struct cache_bumped *bumped)
{
    cache_bumped_tell(bumped, bumper->clocks, NULL, 0);
    for (size_t i = 0; i < count; i++)
        clocks_bump(bumper->clocks, clocks_hash(tags[i]), (uint64_t)bumped->clock);
    counters_add(bumper->counters, COUNTER_BUMPED_TAGS, (int64_t)count);
}

static void remember(struct bumper *bumper, const struct span *tags, size_t count,
                     const struct cache_bumped *bumped)
{
    if (bumped->previous != bumper->last || !bumped->alone)
        recent_miss(bumper->recent);
    recent_add(bumper->recent, tags, count, bumped->clock, clock_monotonic());
    bumper->last = bumped->clock;
    tell_host(bumper, tags, count, bumped);
}

/* Whoever lost changes may have lost some of definitions too, even such as were learnt already. */
static const struct span everything[] = {{CACHE_TAG_ALL, sizeof CACHE_TAG_ALL - 1},
                                         {CACHE_TAG_DEFINITIONS, sizeof CACHE_TAG_DEFINITIONS - 1}};

static bool bump_all(struct bumper *bumper, struct error *error)
{
    const size_t count = ARRAY_COUNT(everything);
    struct cache_bumped bumped;
    if (!cache_bump_telling(bumper->connection, bumper->prefix, everything, count,
                            deadline(bumper, count), &bumped, error))
        return false;
    bumper->last = bumped.clock;
    recent_begin(bumper->recent, bumped.clock, clock_monotonic());
    tell_host(bumper, everything, count, &bumped);
    return true;
}

static bool bump_again(struct bumper *bumper, const struct cache_server *server,
                       struct error *error)
{
    struct cache_bumped bumped;
    struct span *tags;
    size_t count;
    if (!recent_list(bumper->recent, server->last, &tags, &count))
        return error_set_memory(error);
    bool done = count == 0 || cache_bump_telling(bumper->connection, bumper->prefix, tags, count,
                                                 deadline(bumper, count), &bumped, error);
    if (done)
        bumper->last = server->last;
    if (done && count)
        remember(bumper, tags, count, &bumped);
    free(tags);
    if (!done)
        return false;
    log_event(LOG_INFO, "redis", "%zu tags that it does not know of are bumped again", count);
    return true;
}

/* The highest number known to this larderd or its host: responders keep answers made under it. */
static uint64_t newest_known(const struct bumper *bumper)
{
    uint64_t newest = clocks_newest(bumper->clocks), last = (uint64_t)bumper->last;
    return newest > last ? newest : last;
}

/* Makes the bumps that the server may have lost again. */
static bool make_up(struct bumper *bumper, const struct cache_server *server, struct error *error)
{
    bool first = !*bumper->server.run_id;
    if (!cache_clock_jump(bumper->connection, bumper->prefix, bumper->guard, newest_known(bumper),
                          deadline(bumper, 1), error))
        return false;
    if (!first && recent_covers(bumper->recent, server->last))
        return bump_again(bumper, server, error);
    if (!bump_all(bumper, error))
        return false;
    log_event(LOG_INFO, "redis", "%s: every kept answer is struck",
              first ? "no larderd has worked with this server since it started"
                    : "the server may have lost changes that are not known here");
    return true;
}

static bool same_server(const struct bumper *bumper, const struct cache_server *server)
{
    return !*bumper->server.run_id ||
           (!bumper->was_replica && strcmp(bumper->server.run_id, server->run_id) == 0);
}

/* Once, however often it can't be proved then. */
static void tell_new(struct bumper *bumper, const struct cache_server *server)
{
    if (strcmp(bumper->told, server->run_id) == 0)
        return;
    memcpy(bumper->told, server->run_id, sizeof bumper->told);
    log_event(LOG_INFO, "redis", "a Redis server new to Larder, or started anew: run_id %s",
              server->run_id);
}

static bool prove(struct bumper *bumper, struct error *error)
{
    struct cache_server server;
    unsigned connects;
    if (!cache_server_read(bumper->connection, bumper->prefix, deadline(bumper, 1), &server, error))
        return false;
    if (server.is_replica) {
        bumper->was_replica = true;
        return error_set(error, ERROR_UNAVAILABLE, "Redis: the server is a replica");
    }
    connects = redis_connects(bumper->connection);
    if (!server.is_the_known || !same_server(bumper, &server) || server.last < bumper->last) {
        tell_new(bumper, &server);
        if (!make_up(bumper, &server, error) ||
            !cache_server_settle(bumper->connection, bumper->prefix, &server, deadline(bumper, 1),
                                 error))
            return false;
    } else if (!*bumper->server.run_id) {
        bumper->last = server.last;
        recent_begin(bumper->recent, server.last, clock_monotonic());
    }
    if (redis_connects(bumper->connection) != connects)
        return error_set(error, ERROR_UNAVAILABLE, "Redis: the connection was lost");
    bumper->server = server;
    bumper->proved_connects = connects;
    bumper->was_replica = false;
    bumper->told[0] = '\0';
    bumper->proved = true;
    return true;
}

bool bumper_ready(struct bumper *bumper, struct error *error)
{
    /* A server that closes idle connections ("timeout") is no server that was lost. */
    if (redis_ended(bumper->connection)) {
        bumper->proved = false;
        redis_disconnect(bumper->connection);
    }
    if (still_proved(bumper))
        return true;
    if (redis_resolver_needed(bumper->resolver) && !redis_resolver_refresh(bumper->resolver, error))
        return false;
    return prove(bumper, error) || doubt(bumper);
}

/* Done, but where? */
static bool settled(struct bumper *bumper, struct error *error)
{
    if (still_proved(bumper))
        return true;
    error_set(error, ERROR_UNAVAILABLE, "Redis: the connection was lost");
    return doubt(bumper);
}

bool bumper_bump(struct bumper *bumper, const struct span *tags, size_t count, struct error *error)
{
    struct cache_bumped bumped;
    if (count == 0)
        return true;
    if (!cache_bump_telling(bumper->connection, bumper->prefix, tags, count,
                            deadline(bumper, count), &bumped, error))
        return doubt(bumper);
    remember(bumper, tags, count, &bumped);
    return settled(bumper, error);
}

bool bumper_bump_batch(struct bumper *bumper, const struct db_outbox_batch *batch,
                       struct error *error)
{
    size_t count = batch->tag_count;
    struct span *tags = calloc(count + ARRAY_COUNT(everything), sizeof *tags);
    if (!tags)
        return error_set_memory(error);
    db_outbox_tags(batch, tags);
    if (batch->lost) {
        log_event(LOG_INFO, "outbox", "PostgreSQL may have lost changes: every answer is struck");
        for (size_t i = 0; i < ARRAY_COUNT(everything); i++)
            tags[count++] = everything[i];
    }
    bool done = bumper_bump(bumper, tags, count, error);
    free(tags);
    return done;
}

bool bumper_beat(struct bumper *bumper, int64_t lifetime, struct error *error)
{
    bool known;
    if (!cache_beat(bumper->connection, bumper->prefix, &bumper->server, lifetime, bumper->last,
                    deadline(bumper, 1), &known, error))
        return doubt(bumper);
    if (!known) {
        error_set(error, ERROR_UNAVAILABLE,
                  "Redis was emptied, holds older data, or is another server now");
        return doubt(bumper);
    }
    counters_add(bumper->counters, COUNTER_HEARTBEATS, 1);
    return settled(bumper, error);
}
