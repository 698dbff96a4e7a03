#include "http/vary.h"

static const struct name {
    unsigned bit;
    const char *name;
} names[] = {
    {VARY_ACCEPT_ENCODING, "Accept-Encoding"},
    {VARY_AUTHORIZATION, "Authorization"},
    {VARY_ORIGIN, "Origin"},
    {VARY_ACCEPT, "Accept"},
};

void vary_write(unsigned bits, struct bytes *out)
{
    const char *separator = "";
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (!(bits & names[i].bit))
            continue;
        bytes_append_text(out, separator);
        bytes_append_text(out, names[i].name);
        separator = ", ";
    }
}
