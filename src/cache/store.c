#include "cache/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"
#include "cache/store_base.h"

static void names_make(struct cache_store *store)
{
    const char *prefix = store->settings.prefix;
    snprintf(store->clock, sizeof store->clock, "%s:c", prefix);
    snprintf(store->beat, sizeof store->beat, "%s:beat", prefix);
    snprintf(store->journal, sizeof store->journal, "%s:j", prefix);
    snprintf(store->tags, sizeof store->tags, "%s:t:", prefix);
}

static struct cache_store *store_new(const struct cache_store_settings *settings)
{
    struct cache_store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    store->settings = *settings;
    breaker_init(&store->breaker, settings->probe);
    pthread_mutex_init(&store->ghosts.lock, NULL);
    names_make(store);
    store->resolver = redis_resolver_new(&store->settings.address);
    if (store->resolver && redis_script_init(&store->lookup, script_lookup, NULL) &&
        getrandom(&store->process, sizeof store->process, 0) == sizeof store->process)
        return store;
    cache_store_free(store);
    return NULL;
}

bool cache_store_open(const struct options *options, struct arena *arena, struct counters *counters,
                      struct cache_store **ret_store, struct error *error)
{
    struct cache_store_settings settings = {.prefix = options_text(options, OPTION_PREFIX),
                                            .probe = options_number(options, OPTION_REDIS_PROBE),
                                            .lease = options_number(options, OPTION_LEASE),
                                            .guard = options_number(options, OPTION_GUARD_TTL),
                                            .counters = counters};
    *ret_store = NULL;
    if (!*options_text(options, OPTION_REDIS))
        return true;
    if (!redis_address_of(options, OPTION_REDIS, arena, &settings.address, error))
        return false;
    *ret_store = store_new(&settings);
    return *ret_store ? true : error_set_memory(error);
}

void cache_store_free(struct cache_store *store)
{
    if (!store)
        return;
    redis_resolver_free(store->resolver);
    pthread_mutex_destroy(&store->ghosts.lock);
    free(store);
}

bool cache_store_resolve(struct cache_store *store, int64_t now, struct error *error)
{
    return redis_resolver_tick(store->resolver, breaker_is_open(&store->breaker), now, error);
}

struct redis_connection *cache_store_connection(const struct cache_store *store)
{
    return redis_connection_new(&store->settings.address, store->resolver);
}

struct redis_subscription *cache_store_subscription(const struct cache_store *store,
                                                    int64_t silence)
{
    return redis_subscription_new(&store->settings.address, store->resolver, silence);
}

static void count(struct cache_store *store, enum counter counter, int64_t amount)
{
    counters_add(store->settings.counters, counter, amount);
}

bool store_allowed(struct cache_store *store, size_t requests, int64_t budget)
{
    if (budget >= REDIS_LEAST && breaker_allows(&store->breaker, clock_monotonic()))
        return true;
    count(store, COUNTER_REDIS_SKIPPED, (int64_t)requests);
    return false;
}

void store_failed(struct cache_store *store, size_t requests, const struct error *failure,
                  struct error *ret_event)
{
    count(store, COUNTER_REDIS_ERRORS, (int64_t)requests);
    bool was_open = breaker_is_open(&store->breaker), opened = false;
    for (size_t i = 0; i < requests; i++)
        opened = breaker_failed(&store->breaker, clock_monotonic()) || opened;
    if (opened) {
        count(store, COUNTER_REDIS_BREAKER_OPENED, 1);
        count(store, COUNTER_REDIS_BREAKER_OPEN, 1);
        error_set(ret_event, failure->kind, "left out until it answers again: %.400s",
                  failure->text);
    } else if (!was_open) {
        error_set(ret_event, failure->kind, "%.400s", failure->text);
    }
}

void store_refused(struct cache_store *store, struct span why, struct error *ret_event)
{
    if (quiet_over(&store->refusal_quiet, clock_monotonic()))
        error_set(ret_event, ERROR_BUSY, "an entry was not kept: %.*s", SPAN_PRINTF(why));
}

/* Redis' words, or clearer ones where it names no command. */
static const char *refusal_text(const char *said, char meant[static REDIS_SCRIPT_DENIAL_SIZE])
{
    const char *const posted[] = {script_keep, script_release, script_bar};
    for (size_t i = 0; i < ARRAY_COUNT(posted); i++)
        if (redis_script_denial(posted[i], said, meant))
            return meant;
    return said;
}

/* Error replies to earlier posts have arrived with this call's reply. */
static void refusals_take(struct cache_store *store, struct redis_connection *connection,
                          struct error *ret_event)
{
    const char *text;
    char meant[REDIS_SCRIPT_DENIAL_SIZE];
    unsigned refused = redis_dropped_errors(connection, &text);
    if (!refused)
        return;
    count(store, COUNTER_REDIS_STORE_ERRORS, refused);
    store_refused(store, span_of(refusal_text(text, meant)), ret_event);
}

void store_succeeded(struct cache_store *store, struct redis_connection *connection,
                     struct error *ret_event)
{
    if (breaker_succeeded(&store->breaker)) {
        count(store, COUNTER_REDIS_BREAKER_OPEN, -1);
        error_set(ret_event, ERROR_NONE, "Redis answers again");
    }
    refusals_take(store, connection, ret_event);
}

bool store_lease_name(const struct cache_store *store, struct span key,
                      char ret_name[static STORE_NAME_SIZE])
{
    size_t prefix = strlen(store->settings.prefix);
    if (key.size >= STORE_NAME_SIZE || key.size < prefix + 2)
        return false;
    memcpy(ret_name, key.data, key.size);
    ret_name[key.size] = '\0';
    ret_name[prefix + 1] = 'l';
    return true;
}

void cache_store_settle(struct cache_store *store, struct redis_connection *connection,
                        int64_t limit, struct error *ret_event)
{
    struct error failure;
    if (redis_settle(connection, clock_monotonic() + limit, &failure))
        refusals_take(store, connection, ret_event);
    else
        store_failed(store, 1, &failure, ret_event);
}
