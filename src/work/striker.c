#include "work/striker.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "cache/clocks.h"
#include "cache/store.h"

struct striker {
    struct arena *arena; /* the address's texts */
    struct counters *counters;
    struct cache_store *store;
    struct clocks *clocks;
    int64_t patience; /* µs for Redis */
};

bool striker_new(const struct options *options, struct counters *counters,
                 struct striker **ret_striker, struct error *error)
{
    struct striker *striker = calloc(1, sizeof *striker);
    if (!striker)
        return error_set_memory(error);
    striker->counters = counters;
    striker->patience = options_number(options, OPTION_REDIS_TIMEOUT);
    striker->arena = arena_new();
    /* Where the host's can't be had the log has it: larderd's feed needs them too. */
    if (!clocks_open(options_text(options, OPTION_RUN), &striker->clocks, NULL))
        striker->clocks = clocks_open_private();
    bool made = striker->arena && striker->clocks
                    ? cache_store_open(options, striker->arena, counters, &striker->store, error)
                    : error_set_memory(error);
    if (!made) {
        striker_free(striker);
        return false;
    }
    *ret_striker = striker;
    return true;
}

void striker_free(struct striker *striker)
{
    if (!striker)
        return;
    cache_store_free(striker->store);
    clocks_close(striker->clocks);
    arena_free(striker->arena);
    free(striker);
}

struct redis_connection *striker_connection(const struct striker *striker)
{
    return cache_store_connection(striker->store);
}

static void tell(const struct error *event)
{
    if (event->text[0])
        log_event(event->kind == ERROR_NONE ? LOG_INFO : LOG_WARNING, "redis", "%s", event->text);
}

void striker_resolve(struct striker *striker)
{
    struct error error;
    if (!cache_store_resolve(striker->store, clock_monotonic(), &error))
        tell(&error);
}

static bool strike(struct striker *striker, struct redis_connection *connection,
                   const struct span *tags, const uint64_t *hashes, size_t count)
{
    struct error event = {0};
    int64_t budget = striker->patience;
    struct cache_bumped bumped;
    bool told =
        cache_store_strike(striker->store, connection, tags, count, &budget, &bumped, &event);
    if (told)
        cache_bumped_tell(&bumped, striker->clocks, hashes, count);
    else
        clocks_strike_alone(striker->clocks, hashes, count, (uint64_t)clock_wall());
    counters_add(striker->counters, told ? COUNTER_STRUCK_TAGS : COUNTER_STRIKES_LEFT,
                 told ? (int64_t)count : 1);
    tell(&event);
    return told;
}

bool striker_strike(struct striker *striker, struct redis_connection *connection, struct span lines,
                    const struct span *own, size_t own_count)
{
    size_t count = 0, most = span_parts(lines, '\n') + own_count;
    struct span *tags = calloc(most + 1, sizeof *tags);
    uint64_t *hashes = calloc(most + 1, sizeof *hashes);
    bool told = most == 0;
    while (tags && lines.data)
        tags[count++] = span_split(&lines, '\n');
    for (size_t i = 0; tags && i < own_count; i++)
        tags[count++] = own[i];
    for (size_t i = 0; tags && hashes && i < count; i++)
        hashes[i] = clocks_hash(tags[i]);
    if (tags && hashes && count)
        told = strike(striker, connection, tags, hashes, count);
    free(tags);
    free(hashes);
    return told;
}
