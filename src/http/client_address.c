#include "http/client_address.h"

#define V6_NETWORK 8 /* bytes of a /64 */

/* The lines that are left to read, from their end. */
struct trail {
    const struct span *lines;
    size_t count; /* lines not begun yet */
    struct span rest;
};

/* Takes the last member that is not empty. */
static bool trail_back(struct trail *trail, struct span *ret_member)
{
    for (;;) {
        while (!trail->rest.size) {
            if (!trail->count)
                return false;
            trail->rest = trail->lines[--trail->count];
        }
        const char *comma = memrchr(trail->rest.data, ',', trail->rest.size);
        size_t begin = comma ? (size_t)(comma - trail->rest.data) + 1 : 0;
        struct span member = span_trim(span_from(trail->rest, begin));
        trail->rest = span_first(trail->rest, comma ? begin - 1 : 0);
        if (member.size) {
            *ret_member = member;
            return true;
        }
    }
}

/* The first address from the end that no proxy has; false: not even the peer has one. */
static bool client_find(struct span remote, struct trail *trail, const struct networks *proxies,
                        struct address *ret_address)
{
    struct span member;
    bool known = address_read(remote, ret_address);
    bool trusted = known ? networks_have(proxies, ret_address)
                         : span_starts(remote, "unix:") && networks_have_unix(proxies);
    while (trusted && trail_back(trail, &member) && address_read(member, ret_address)) {
        known = true;
        trusted = networks_have(proxies, ret_address);
    }
    return known;
}

void client_name(struct span remote, const struct span *lines, size_t line_count,
                 const struct networks *proxies, unsigned char ret_name[static CLIENT_NAME_SIZE],
                 size_t *ret_size)
{
    struct trail trail = {.lines = lines, .count = line_count};
    struct address address;
    if (client_find(remote, &trail, proxies, &address)) {
        *ret_size = address_is_v4(&address) ? sizeof address.bytes : V6_NETWORK;
        memcpy(ret_name, address.bytes, *ret_size);
        return;
    }
    *ret_size = remote.size < CLIENT_NAME_SIZE ? remote.size : CLIENT_NAME_SIZE;
    if (*ret_size)
        memcpy(ret_name, remote.data, *ret_size);
}
