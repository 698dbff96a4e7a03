#include "serve/settings.h"

#include "queue/queue.h"
#include "redis/address.h"
#include "serve/bearer.h"

struct cors_settings settings_cors(const struct options *options)
{
    return (struct cors_settings){.origins = options_text(options, OPTION_CORS_ORIGINS),
                                  .methods = options_text(options, OPTION_CORS_METHODS),
                                  .headers = options_text(options, OPTION_CORS_HEADERS),
                                  .expose = options_text(options, OPTION_CORS_EXPOSE),
                                  .max_age = options_number(options, OPTION_CORS_MAX_AGE),
                                  .credentials =
                                      options_number(options, OPTION_CORS_CREDENTIALS) == 1};
}

static bool cors_check(const struct options *options, struct error *error)
{
    const struct cors_settings settings = settings_cors(options);
    struct cors *cors;
    if (!cors_new(&settings, &cors, error))
        return false;
    cors_free(cors);
    return true;
}

static bool address_check(const struct options *options, enum option option, struct arena *arena,
                          struct error *error)
{
    struct redis_address address;
    return !*options_text(options, option) ||
           redis_address_of(options, option, arena, &address, error);
}

static bool queue_check(const struct options *options, struct arena *arena, struct error *error)
{
    struct queue *queue;
    if (!queue_open(options, arena, NULL, &queue, error))
        return false;
    queue_free(queue);
    return true;
}

bool settings_check(const struct options *options, struct error *error)
{
    struct arena *arena = arena_new();
    if (!arena)
        return error_set_memory(error);
    bool good = address_check(options, OPTION_REDIS, arena, error) &&
                address_check(options, OPTION_LIMIT_REDIS, arena, error) &&
                queue_check(options, arena, error) && cors_check(options, error) &&
                bearer_options_check(options, error);
    arena_free(arena);
    return good;
}
