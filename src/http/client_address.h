/*
 * Which client a request comes from, behind proxies that are known.
 */
#ifndef LARDER_HTTP_CLIENT_ADDRESS_H
#define LARDER_HTTP_CLIENT_ADDRESS_H

#include "base/network.h"

/* Enough for either kind of name. */
#define CLIENT_NAME_SIZE 64

/*
 * Names the client whose peer address is `remote` and whose X-Forwarded-For lines are `lines`, in
 * their order. A proxy appends the address of whoever it took the request from, so the lines are
 * read from the end, and only as long as the address at hand is one of `proxies`: what a client
 * wrote there himself is never reached. What is no address ends it at the last proxy.
 *
 * The name is what counts as one client: an IPv4 address, or the /64 of an IPv6 one, as bytes; or,
 * cut, the text of `remote` where it is neither ("unix:"). It has `*ret_size` bytes.
 */
void client_name(struct span remote, const struct span *lines, size_t line_count,
                 const struct networks *proxies, unsigned char ret_name[static CLIENT_NAME_SIZE],
                 size_t *ret_size);

#endif
