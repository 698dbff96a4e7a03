/*
 * Addresses of hosts and networks of them, IPv4 and IPv6 (RFC 4632, RFC 4291).
 *
 * An IPv4 address is held as the IPv6 one it is mapped to (::ffff:a.b.c.d), so that both ways of
 * writing it are one address.
 */
#ifndef LARDER_BASE_NETWORK_H
#define LARDER_BASE_NETWORK_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/span.h"

struct address {
    unsigned char bytes[16];
};

/* Reads "192.0.2.1", "2001:db8::1", and either with a port: "192.0.2.1:80", "[2001:db8::1]:80". */
MUST_CHECK bool address_read(struct span text, struct address *ret_address);

bool address_is_v4(const struct address *address);

/* What a list of networks names; constant once made. */
struct networks;

/*
 * Reads addresses and networks in CIDR notation, parted by commas, and the word "unix" for peers on
 * a local socket. Null: memory, or the text is none of that (networks_valid).
 */
struct networks *networks_new(struct span text) MUST_CHECK;
void networks_free(struct networks *networks);

MUST_CHECK bool networks_valid(struct span text);

/* Is the address in one of them? */
bool networks_have(const struct networks *networks, const struct address *address);

/* Do they name local sockets? */
bool networks_have_unix(const struct networks *networks);

#endif
