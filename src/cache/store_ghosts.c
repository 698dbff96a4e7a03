/*
 * Ghosts: leases that a look-up may have taken although its caller never heard so, since Redis
 * answered too late. Nobody would fill under them, and everybody would wait for their end; so they
 * are ended as soon as Redis is spoken to again. It may come to the late look-up only then, by
 * another connection; so what is ended is barred too.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cache/store_base.h"

/* EVAL, the script, "1", the name, the owner, the time. */
#define BAR_WORDS 6

static void append(struct store_ghosts *ghosts, const struct store_ghost *ghost)
{
    size_t count = atomic_load(&ghosts->count);
    if (count == STORE_GHOSTS_MAX)
        return;
    ghosts->items[count] = *ghost;
    atomic_store(&ghosts->count, count + 1);
}

void store_ghost_add(struct cache_store *store, const struct store_query *query)
{
    struct store_ghost ghost;
    if (!query->lease_wanted || !store_lease_name(store, query->key, ghost.name))
        return;
    memcpy(ghost.owner, query->lease.owner, sizeof ghost.owner);
    store_ghosts_return(store, &ghost, 1);
}

void store_ghosts_return(struct cache_store *store, const struct store_ghost *ghosts, size_t count)
{
    pthread_mutex_lock(&store->ghosts.lock);
    for (size_t i = 0; i < count; i++)
        append(&store->ghosts, &ghosts[i]);
    pthread_mutex_unlock(&store->ghosts.lock);
}

static size_t take(struct store_ghosts *ghosts, struct store_ghost *ret_taken, size_t most)
{
    pthread_mutex_lock(&ghosts->lock);
    size_t count = atomic_load(&ghosts->count);
    size_t taken = count < most ? count : most;
    memcpy(ret_taken, ghosts->items + count - taken, taken * sizeof *ret_taken);
    atomic_store(&ghosts->count, count - taken);
    pthread_mutex_unlock(&ghosts->lock);
    return taken;
}

size_t store_ghosts_end(struct cache_store *store, struct redis_connection *connection,
                        int64_t deadline, struct store_ghost ret_ghosts[static STORE_BATCH])
{
    char lasting[24];
    struct span words[STORE_BATCH][BAR_WORDS];
    struct redis_command commands[STORE_BATCH];
    if (atomic_load_explicit(&store->ghosts.count, memory_order_relaxed) == 0)
        return 0;
    snprintf(lasting, sizeof lasting, "%" PRId64, (store->settings.lease + 999) / 1000);
    size_t count = take(&store->ghosts, ret_ghosts, STORE_BATCH);
    for (size_t i = 0; i < count; i++) {
        const struct span each[BAR_WORDS] = {
            SPAN_LITERAL("EVAL"),        span_of(script_bar),          SPAN_LITERAL("1"),
            span_of(ret_ghosts[i].name), span_of(ret_ghosts[i].owner), span_of(lasting)};
        memcpy(words[i], each, sizeof each);
        commands[i] = (struct redis_command){words[i], BAR_WORDS};
    }
    /* What fails here fails for the look-up behind it too, which tells. */
    struct error failure;
    if (count && !redis_post(connection, commands, count, deadline, &failure))
        return count;
    return count;
}
