#include "unit.h"

#include <inttypes.h>
#include <stdio.h>

#include "cache/store_base.h"

#define FRONTS 16
#define PROBES 30 /* one a second, of half a minute */

static struct cache_store store = {.settings.prefix = "larder"};

static void lose(uint64_t number)
{
    char key[32];
    snprintf(key, sizeof key, "larder:e:%" PRIu64, number);
    struct store_query query = {.key = span_of(key), .lease_wanted = true};
    store_ghost_add(&store, &query);
}

/* All fronts have a batch under way when Redis stops to answer, and each probe is one more. */
static void a_redis_that_stands_still_leaves_no_lease_behind(void **state)
{
    size_t lost = (FRONTS + PROBES) * STORE_BATCH;
    (void)state;
    pthread_mutex_init(&store.ghosts.lock, NULL);
    for (size_t i = 0; i < lost; i++)
        lose(i);
    assert_int_equal(atomic_load(&store.ghosts.count), lost);
    pthread_mutex_destroy(&store.ghosts.lock);
}

static void more_than_there_is_room_for_are_left_to_their_end(void **state)
{
    (void)state;
    atomic_store(&store.ghosts.count, 0);
    pthread_mutex_init(&store.ghosts.lock, NULL);
    for (size_t i = 0; i < 2 * STORE_GHOSTS_MAX; i++)
        lose(i);
    assert_int_equal(atomic_load(&store.ghosts.count), STORE_GHOSTS_MAX);
    pthread_mutex_destroy(&store.ghosts.lock);
}

UNIT_MAIN(cmocka_unit_test(a_redis_that_stands_still_leaves_no_lease_behind),
          cmocka_unit_test(more_than_there_is_room_for_are_left_to_their_end))
