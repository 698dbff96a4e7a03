#include "http/cache_status.h"

#include "base/span.h"

static bool is_letter(char byte)
{
    char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'z';
}

/* RFC 8941, section 3.3.4: a token; tchar, ":" and "/" after a letter or "*". */
static bool is_token(struct span text)
{
    if (!text.size || !(is_letter(text.data[0]) || text.data[0] == '*'))
        return false;
    for (size_t i = 1; i < text.size; i++) {
        char byte = text.data[i];
        bool digit = byte >= '0' && byte <= '9';
        if (!digit && !is_letter(byte) && (!byte || !strchr(":/!#$%&'*+-.^_`|~", byte)))
            return false;
    }
    return true;
}

/* RFC 8941, section 3.3.3: a string holds visible ASCII and spaces. */
static void string_write(struct span text, struct bytes *out)
{
    bytes_append_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        char byte = text.data[i];
        if (byte == '"' || byte == '\\')
            bytes_append_byte(out, '\\');
        bytes_append_byte(out, byte >= 0x20 && byte < 0x7f ? byte : '?');
    }
    bytes_append_byte(out, '"');
}

static void parameter_write(const char *name, const char *text, struct bytes *out)
{
    struct span value = span_of(text);
    if (!text)
        return;
    bytes_append_text(out, name);
    if (is_token(value))
        bytes_append_span(out, value);
    else
        string_write(value, out);
}

static void miss_write(const struct cache_status *status, struct bytes *out)
{
    parameter_write("; fwd=", status->forward, out);
    if (status->stored)
        bytes_append_text(out, "; stored");
    if (status->collapsed)
        bytes_append_text(out, "; collapsed");
}

void cache_status_write(const struct cache_status *status, struct bytes *out)
{
    bytes_append_text(out, "larder");
    if (status->hit)
        bytes_append_text(out, "; hit");
    else
        miss_write(status, out);
    if (status->has_ttl) {
        bytes_append_text(out, "; ttl=");
        bytes_append_number(out, status->ttl);
    }
    parameter_write("; detail=", status->detail, out);
}
