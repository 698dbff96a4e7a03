/*
 * The name under which an answer is kept.
 *
 *   <namespace>:e:<version>:<METHOD /path>:<values>
 *
 * Invariant: two requests have one key exactly when the same text of the route file answers them
 * with the same bound values. Every value is length-prefixed, so no value can imitate two; absent,
 * null and empty are written apart ("-", "~", "0:"). Longer than CACHE_KEY_MAX, what follows the
 * version is replaced by its SHA-256.
 */
#ifndef LARDER_CACHE_KEY_H
#define LARDER_CACHE_KEY_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "route/param.h"

#define CACHE_KEY_MAX 200

/* Hexadecimal digits of a route version, terminated. */
struct cache_version {
    char hex[17];
    uint64_t number; /* never 0 */
};

/*
 * The version of a route: a hash of its file's text and of the format of answers, so that a
 * deployed change, of a route or of Larder, uses new keys.
 */
MUST_CHECK bool cache_version_of(struct span text, struct cache_version *ret_version,
                                 struct error *error);

/*
 * Appends the key. `name` is the route's ("GET /feeds"); `values` are those of its parameters in
 * their order, and behind them whatever else the answer depends on.
 */
MUST_CHECK bool cache_key_write(const char *name_space, const struct cache_version *version,
                                const char *name, const struct value *values, size_t count,
                                struct bytes *out, struct error *error);

/* A key taken apart; the spans lie in it. */
struct cache_key {
    struct span version;
    struct span tail; /* what follows the version: name and values, or their digest */
    bool hashed;
};

/* False: it is no key of an answer under this namespace. */
MUST_CHECK bool cache_key_read(const char *name_space, struct span key, struct cache_key *ret_key);

/*
 * The values that cache_key_write was given for `name`, texts terminated in `arena`. False: the key
 * is hashed, or it is another name's or has another number of values; or memory ran out.
 */
MUST_CHECK bool cache_key_values(const struct cache_key *key, const char *name, struct arena *arena,
                                 struct value *ret_values, size_t count);

#endif
