/*
 * Where Redis is, as LARDER_REDIS, LARDER_QUEUE and LARDER_LIMIT_REDIS say it.
 */
#ifndef LARDER_REDIS_ADDRESS_H
#define LARDER_REDIS_ADDRESS_H

#include "base/arena.h"
#include "base/error.h"
#include "base/options.h"

struct redis_address {
    const char *host; /* null: a unix socket */
    int port;
    const char *path;     /* of the socket, or null */
    const char *user;     /* null: none */
    const char *password; /* null: none; never to be printed */
    int database;
};

/*
 * Reads redis://[user:password@]host[:port][/database], redis://:password@host, an IPv6 host in
 * brackets, or unix:/path[?db=n], or unix://user:password@/path[?db=n]; user and password may be
 * percent-encoded. The texts are in `arena`. ERROR_INVALID says what is wrong, and never repeats
 * the password.
 */
MUST_CHECK bool redis_address_parse(const char *url, struct arena *arena,
                                    struct redis_address *ret_address, struct error *error);

/* The address that an option has, which is not empty. ERROR_INVALID names the option. */
MUST_CHECK bool redis_address_of(const struct options *options, enum option option,
                                 struct arena *arena, struct redis_address *ret_address,
                                 struct error *error);

#endif
