/* X-Forwarded-For: lines parted by newlines, the first is the peer's address. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "http/client_address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINES_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct networks *proxies;
    unsigned char name[CLIENT_NAME_SIZE];
    struct span lines[LINES_MAX], rest = {.data = (const char *)data, .size = size};
    size_t count = 0, name_size;
    if (!proxies)
        proxies = networks_new(SPAN_LITERAL("10.0.0.0/8, ::/1, unix"));
    struct span remote = span_split(&rest, '\n');
    while (rest.data && count < LINES_MAX)
        lines[count++] = span_split(&rest, '\n');
    client_name(remote, lines, count, proxies, name, &name_size);
    if (name_size > CLIENT_NAME_SIZE)
        abort();
    if (networks_valid(remote)) {
        struct networks *networks = networks_new(remote);
        networks_free(networks);
    }
    return 0;
}
