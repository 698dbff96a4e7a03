#include "http/link.h"

/* RFC 3986, section 2: reserved and unreserved characters, and the "%" of an escape. */
static bool is_uri_byte(char byte)
{
    unsigned char value = (unsigned char)byte;
    return value > 0x20 && value < 0x7f && !strchr("\"<>\\^`{|}", byte);
}

static void uri_byte_write(char byte, struct bytes *out)
{
    if (is_uri_byte(byte))
        bytes_append_byte(out, byte);
    else
        bytes_append_format(out, "%%%02X", (unsigned char)byte);
}

void link_write(struct span target, const char *relation, struct bytes *out)
{
    bytes_append_text(out, out->size ? ", <" : "<");
    for (size_t i = 0; i < target.size; i++)
        uri_byte_write(target.data[i], out);
    bytes_append_text(out, ">; rel=\"");
    bytes_append_text(out, relation);
    bytes_append_byte(out, '"');
}
