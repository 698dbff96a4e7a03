/*
 * Whoever is at the other end of a socket.
 */
#ifndef LARDER_BASE_PEER_H
#define LARDER_BASE_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

/* In place of a socket: nobody is watched. */
#define PEER_NOBODY (-1)

/* How often whoever waits for something looks whether his peer is still there, µs. */
#define PEER_LOOK INT64_C(250000)

/* Has he closed it, or what he sends by it? Nobody never has. */
bool peer_has_left(int socket) MUST_CHECK;

#endif
