#include "redis/resolver.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

struct redis_resolver {
    const struct redis_address *address;
    bool needed;
    int64_t tried; /* monotonic µs of the last tick that looked; 0: none */
    pthread_mutex_t lock;
    char number[REDIS_NUMBER_SIZE]; /* empty: not found yet */
};

static bool is_number(const char *host)
{
    struct in6_addr ignored;
    return inet_pton(AF_INET, host, &ignored) == 1 || inet_pton(AF_INET6, host, &ignored) == 1;
}

struct redis_resolver *redis_resolver_new(const struct redis_address *address)
{
    struct redis_resolver *resolver = calloc(1, sizeof *resolver);
    if (!resolver)
        return NULL;
    resolver->address = address;
    pthread_mutex_init(&resolver->lock, NULL);
    resolver->needed = address->host && !is_number(address->host);
    if (address->host && !resolver->needed)
        snprintf(resolver->number, sizeof resolver->number, "%s", address->host);
    return resolver;
}

void redis_resolver_free(struct redis_resolver *resolver)
{
    if (!resolver)
        return;
    pthread_mutex_destroy(&resolver->lock);
    free(resolver);
}

bool redis_resolver_needed(const struct redis_resolver *resolver)
{
    return resolver->needed;
}

/* IPv4 before IPv6, as hiredis itself has it: Redis often listens on the former alone. */
static const struct addrinfo *choose(const struct addrinfo *found)
{
    for (const struct addrinfo *at = found; at; at = at->ai_next)
        if (at->ai_family == AF_INET)
            return at;
    return found;
}

bool redis_resolver_refresh(struct redis_resolver *resolver, struct error *error)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char number[REDIS_NUMBER_SIZE];
    if (!resolver->needed)
        return true;
    int failure = getaddrinfo(resolver->address->host, NULL, &hints, &found);
    if (!failure) {
        const struct addrinfo *chosen = choose(found);
        failure = getnameinfo(chosen->ai_addr, chosen->ai_addrlen, number, sizeof number, NULL, 0,
                              NI_NUMERICHOST);
        freeaddrinfo(found);
    }
    if (failure)
        return error_set(error, ERROR_UNAVAILABLE, "Redis: looking up \"%s\": %s",
                         resolver->address->host, gai_strerror(failure));
    pthread_mutex_lock(&resolver->lock);
    snprintf(resolver->number, sizeof resolver->number, "%s", number);
    pthread_mutex_unlock(&resolver->lock);
    return true;
}

bool redis_resolver_tick(struct redis_resolver *resolver, bool away, int64_t now,
                         struct error *error)
{
    int64_t interval = away ? REDIS_RESOLVE_INTERVAL_AWAY : REDIS_RESOLVE_INTERVAL;
    if (!resolver->needed || (resolver->tried && now - resolver->tried < interval))
        return true;
    resolver->tried = now;
    return redis_resolver_refresh(resolver, error);
}

bool redis_resolver_number(struct redis_resolver *resolver,
                           char ret_number[static REDIS_NUMBER_SIZE])
{
    pthread_mutex_lock(&resolver->lock);
    bool known = resolver->number[0] != '\0';
    if (known)
        snprintf(ret_number, REDIS_NUMBER_SIZE, "%s", resolver->number);
    pthread_mutex_unlock(&resolver->lock);
    return known;
}
