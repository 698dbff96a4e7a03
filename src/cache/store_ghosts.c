/*
 * Ghosts: leases that a look-up may have taken although its caller never heard so, since Redis
 * answered too late. Nobody would fill under them, and everybody would wait for their end; so they
 * are ended as soon as Redis is spoken to again, and once more a little later, for Redis may find
 * the late look-up behind the first ending of its lease.
 */
#include "base/clock.h"
#include "cache/store_base.h"

/* When a ghost is ended for the second time: µs after the first. */
#define AGAIN INT64_C(50000)

/* EVAL, the script, "1", the name, the owner. */
#define RELEASE_WORDS 5

void store_ghost_add(struct cache_store *store, const struct store_query *query)
{
    struct store_ghosts *ghosts = &store->ghosts;
    if (!query->lease_wanted)
        return;
    pthread_mutex_lock(&ghosts->lock);
    struct store_ghost *ghost = &ghosts->items[ghosts->count % STORE_GHOSTS_MAX];
    bool room = ghosts->count < STORE_GHOSTS_MAX;
    if (room && store_lease_name(store, query->key, ghost->name)) {
        memcpy(ghost->owner, query->lease.owner, sizeof ghost->owner);
        ghost->ended = 0;
        atomic_store(&ghosts->count, ghosts->count + 1);
    }
    pthread_mutex_unlock(&ghosts->lock);
}

/* Takes those whose time has come; the ones ended for the first time stay for the second. */
static size_t take(struct store_ghosts *ghosts, struct store_ghost *ret_taken, size_t most)
{
    int64_t now = clock_monotonic();
    size_t taken = 0, left = 0;
    pthread_mutex_lock(&ghosts->lock);
    for (size_t i = 0; i < ghosts->count; i++) {
        struct store_ghost *ghost = &ghosts->items[i];
        bool due = taken < most && now - ghost->ended >= AGAIN;
        if (due)
            ret_taken[taken++] = *ghost;
        if (due && ghost->ended)
            continue;
        if (due)
            ghost->ended = now;
        ghosts->items[left++] = *ghost;
    }
    atomic_store(&ghosts->count, left);
    pthread_mutex_unlock(&ghosts->lock);
    return taken;
}

void store_ghosts_end(struct cache_store *store, struct redis_connection *connection,
                      int64_t deadline)
{
    struct store_ghost ghosts[STORE_BATCH];
    struct span words[STORE_BATCH][RELEASE_WORDS];
    struct redis_command commands[STORE_BATCH];
    if (atomic_load_explicit(&store->ghosts.count, memory_order_relaxed) == 0)
        return;
    size_t count = take(&store->ghosts, ghosts, STORE_BATCH);
    for (size_t i = 0; i < count; i++) {
        const struct span each[RELEASE_WORDS] = {SPAN_LITERAL("EVAL"), span_of(script_release),
                                                 SPAN_LITERAL("1"), span_of(ghosts[i].name),
                                                 span_of(ghosts[i].owner)};
        memcpy(words[i], each, sizeof each);
        commands[i] = (struct redis_command){words[i], RELEASE_WORDS};
    }
    /* What fails here fails for the look-up behind it too, which tells. */
    struct error failure;
    if (count && !redis_post(connection, commands, count, deadline, &failure))
        return;
}
