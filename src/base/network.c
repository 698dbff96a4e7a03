#include "base/network.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define V4_PREFIX 12 /* bytes before a mapped IPv4 address */

static const unsigned char v4_prefix[V4_PREFIX] = {[10] = 0xff, [11] = 0xff};

/* Without port and brackets. */
static bool bare_read(struct span text, struct address *ret_address)
{
    char copy[INET6_ADDRSTRLEN];
    struct address address = {.bytes = {0}};
    if (text.size == 0 || text.size >= sizeof copy || memchr(text.data, '\0', text.size))
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    memcpy(address.bytes, v4_prefix, V4_PREFIX);
    bool good = inet_pton(AF_INET, copy, address.bytes + V4_PREFIX) == 1 ||
                inet_pton(AF_INET6, copy, address.bytes) == 1;
    if (good)
        *ret_address = address;
    return good;
}

/* ":80" or nothing. */
static bool port_valid(struct span text)
{
    if (text.size == 0)
        return true;
    if (text.data[0] != ':' || text.size < 2 || text.size > 6)
        return false;
    for (size_t i = 1; i < text.size; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return true;
}

bool address_read(struct span text, struct address *ret_address)
{
    if (text.size && text.data[0] == '[') {
        size_t end = span_find(text, ']');
        return end < text.size && port_valid(span_from(text, end + 1)) &&
               bare_read(span_from(span_first(text, end), 1), ret_address);
    }
    if (bare_read(text, ret_address))
        return true;
    size_t colon = span_find(text, ':');
    return colon < text.size && port_valid(span_from(text, colon)) &&
           bare_read(span_first(text, colon), ret_address);
}

bool address_is_v4(const struct address *address)
{
    return memcmp(address->bytes, v4_prefix, V4_PREFIX) == 0;
}

struct network {
    struct address address;
    unsigned bits; /* how many of its first ones count */
};

struct networks {
    bool unix_sockets;
    size_t count;
    struct network items[];
};

static bool bits_read(struct span text, unsigned most, unsigned *ret_bits)
{
    uint64_t bits;
    if (text.size > 3 || !span_number(text, most, &bits))
        return false;
    *ret_bits = (unsigned)bits;
    return true;
}

static bool network_read(struct span text, struct network *ret_network)
{
    struct span bits = text;
    struct span address = span_split(&bits, '/');
    if (!bare_read(address, &ret_network->address))
        return false;
    bool v4 = span_find(address, ':') == address.size;
    ret_network->bits = v4 ? 32 : 128;
    if (bits.data && !bits_read(bits, ret_network->bits, &ret_network->bits))
        return false;
    ret_network->bits += v4 ? 8 * V4_PREFIX : 0;
    return true;
}

/* Into `networks` where it is not null, which then has room. */
static bool list_read(struct span text, struct networks *networks)
{
    while (text.data) {
        struct network network;
        struct span item = span_trim(span_split(&text, ','));
        bool is_unix = span_is(item, "unix");
        if (item.size == 0)
            continue;
        if (!is_unix && !network_read(item, &network))
            return false;
        if (networks && is_unix)
            networks->unix_sockets = true;
        else if (networks)
            networks->items[networks->count++] = network;
    }
    return true;
}

bool networks_valid(struct span text)
{
    return list_read(text, NULL);
}

struct networks *networks_new(struct span text)
{
    size_t most = 1;
    for (size_t i = 0; i < text.size; i++)
        most += text.data[i] == ',';
    struct networks *networks = calloc(1, sizeof *networks + most * sizeof networks->items[0]);
    if (networks && list_read(text, networks))
        return networks;
    networks_free(networks);
    return NULL;
}

void networks_free(struct networks *networks)
{
    free(networks);
}

static bool network_has(const struct network *network, const struct address *address)
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    unsigned char mask = (unsigned char)(0xff << (8 - rest));
    return memcmp(network->address.bytes, address->bytes, whole) == 0 &&
           (rest == 0 || ((network->address.bytes[whole] ^ address->bytes[whole]) & mask) == 0);
}

bool networks_have(const struct networks *networks, const struct address *address)
{
    for (size_t i = 0; i < networks->count; i++)
        if (network_has(&networks->items[i], address))
            return true;
    return false;
}

bool networks_have_unix(const struct networks *networks)
{
    return networks->unix_sockets;
}
