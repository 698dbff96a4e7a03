#include "limit/local.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/hash.h"

/* 64K names in a megabyte, of which only the pages in use are there. */
#define WAYS 4
#define SETS ((size_t)16384)
#define LOCKS 64

struct slot {
    uint64_t name; /* hashed; 0: free */
    double until;  /* monotonic µs: when the debt is made up for */
};

struct set {
    struct slot slots[WAYS];
};

struct local {
    struct hash_key key;
    pthread_mutex_t locks[LOCKS];
    struct set sets[SETS];
};

struct local *local_new(void)
{
    struct local *local = calloc(1, sizeof *local);
    if (!local)
        return NULL;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&local->locks[i], NULL);
    if (getrandom(&local->key, sizeof local->key, 0) == sizeof local->key)
        return local;
    local_free(local);
    return NULL;
}

void local_free(struct local *local)
{
    if (!local)
        return;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&local->locks[i]);
    free(local);
}

/* Where a name is looked for. */
struct place {
    uint64_t name;
    struct set *set;
    pthread_mutex_t *lock;
};

static struct place place_lock(struct local *local, struct span name)
{
    uint64_t hash = hash_of(&local->key, name);
    struct place place = {.name = hash ? hash : 1,
                          .set = &local->sets[hash % SETS],
                          .lock = &local->locks[hash % LOCKS]};
    pthread_mutex_lock(place.lock);
    return place;
}

static struct slot *slot_find(const struct place *place)
{
    for (size_t i = 0; i < WAYS; i++)
        if (place->set->slots[i].name == place->name)
            return &place->set->slots[i];
    return NULL;
}

static struct slot *slot_make(const struct place *place)
{
    struct slot *slot = slot_find(place);
    if (slot)
        return slot;
    slot = &place->set->slots[0];
    for (size_t i = 1; i < WAYS; i++)
        if (place->set->slots[i].until < slot->until)
            slot = &place->set->slots[i];
    *slot = (struct slot){.name = place->name};
    return slot;
}

static double debt_of(const struct slot *slot, int64_t now)
{
    double debt = slot ? slot->until - (double)now : 0;
    return debt > 0 ? debt : 0;
}

double local_debt(struct local *local, struct span name, int64_t now)
{
    struct place place = place_lock(local, name);
    double debt = debt_of(slot_find(&place), now);
    pthread_mutex_unlock(place.lock);
    return debt;
}

void local_learn(struct local *local, struct span name, double debt, int64_t now)
{
    struct place place = place_lock(local, name);
    struct slot *slot = slot_make(&place);
    if (slot->until < (double)now + debt)
        slot->until = (double)now + debt;
    pthread_mutex_unlock(place.lock);
}

bool local_take(struct local *local, struct span name, const struct rate *rate, int64_t now,
                double *ret_debt)
{
    struct place place = place_lock(local, name);
    struct slot *slot = slot_make(&place);
    double debt = debt_of(slot, now);
    bool passes = rate_passes(rate, debt);
    if (passes) {
        debt += rate->interval;
        slot->until = (double)now + debt;
    }
    pthread_mutex_unlock(place.lock);
    *ret_debt = debt;
    return passes;
}

void local_give_back(struct local *local, struct span name, const struct rate *rate)
{
    struct place place = place_lock(local, name);
    struct slot *slot = slot_find(&place);
    if (slot)
        slot->until -= rate->interval;
    pthread_mutex_unlock(place.lock);
}
