/*
 * SipHash-1-3 (Aumasson and Bernstein 2012): a 64-bit hash under a 128-bit key. With a key nobody
 * knows, nobody can make keys that collide; with a fixed one, all processes of a machine agree.
 */
#ifndef LARDER_BASE_HASH_H
#define LARDER_BASE_HASH_H

#include <stdint.h>

#include "base/span.h"

struct hash_key {
    uint64_t words[2];
};

/* Depends on the machine's byte order: not for what other machines read. */
uint64_t hash_of(const struct hash_key *key, struct span data);

#endif
