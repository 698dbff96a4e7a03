#include "route/annotation.h"

#define CACHE_FIELD(name) offsetof(struct route_cache, name)

static const struct attribute cache_attributes[] = {
    {.name = "ttl",
     .read = attribute_duration_positive,
     .offset = CACHE_FIELD(ttl),
     .required = true},
    {.name = "stale", .read = attribute_duration, .offset = CACHE_FIELD(stale)},
    {.name = "error", .read = attribute_duration, .offset = CACHE_FIELD(error)},
    {.name = "negative", .read = attribute_duration, .offset = CACHE_FIELD(negative)},
    {.name = "l1", .read = attribute_switch, .offset = CACHE_FIELD(l1)},
    {.name = "compress", .read = attribute_switch, .offset = CACHE_FIELD(compress)},
};

void annotate_cache(struct draft *draft, struct span rest)
{
    struct route_cache cache = {.present = true, .l1 = true, .compress = true};
    if (!attributes_read(draft, rest, cache_attributes, ARRAY_COUNT(cache_attributes), &cache))
        return;
    draft->route->cache = cache;
}

static const struct attribute nginx_attributes[] = {
    {.name = "ttl", .read = attribute_duration_positive, .required = true},
};

void annotate_nginx(struct draft *draft, struct span rest)
{
    int64_t ttl;
    if (!attributes_read(draft, rest, nginx_attributes, ARRAY_COUNT(nginx_attributes), &ttl))
        return;
    if (ttl < 1000000)
        draft_fault(draft, words_rest(rest),
                    "@nginx: ttl= is less than 1s, the least time nginx counts");
    draft->route->nginx_ttl = ttl;
    draft->nginx_at = words_rest(rest);
}
