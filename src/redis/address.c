#include "redis/address.h"

#define PORT_DEFAULT 6379
#define DATABASE_MAX 65535

static bool digits_read(struct span text, int most, int *ret_number)
{
    uint64_t number;
    if (text.size > 5 || !span_number(text, (uint64_t)most, &number))
        return false;
    *ret_number = (int)number;
    return true;
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit = (char)(digit | 0x20);
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Percent-decodes a user or password; null on a bad escape, a NUL, or no memory. */
static const char *decode(struct span text, struct arena *arena)
{
    char *out = arena_alloc(arena, text.size + 1);
    size_t size = 0;
    for (size_t i = 0; out && i < text.size; i++) {
        char byte = text.data[i];
        if (byte == '%') {
            int high = i + 2 < text.size ? hex_digit(text.data[i + 1]) : -1;
            int low = i + 2 < text.size ? hex_digit(text.data[i + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0)
                return NULL;
            byte = (char)(high << 4 | low);
            i += 2;
        }
        out[size++] = byte;
    }
    return out;
}

static bool credentials_parse(struct span text, struct arena *arena, struct redis_address *address,
                              struct error *error)
{
    size_t colon = span_find(text, ':');
    struct span user = span_first(text, colon);
    struct span password = colon < text.size ? span_from(text, colon + 1) : (struct span){0};
    if (user.size && !(address->user = decode(user, arena)))
        return error_set(error, ERROR_INVALID, "the user is badly percent-encoded");
    if (password.data && !(address->password = decode(password, arena)))
        return error_set(error, ERROR_INVALID, "the password is badly percent-encoded");
    if (address->user && !address->password)
        return error_set(error, ERROR_INVALID, "a user needs a password: user:password@host");
    return true;
}

static bool host_parse(struct span text, struct arena *arena, struct redis_address *address,
                       struct error *error)
{
    struct span host = text, port = {0};
    size_t end = text.size && text.data[0] == '[' ? span_find(text, ']') : 0;
    size_t colon = end + span_find(span_from(text, end), ':');
    if (colon < text.size) {
        host = span_first(text, colon);
        port = span_from(text, colon + 1);
    }
    if (end && end + 1 != host.size)
        return error_set(error, ERROR_INVALID, "the host \"%.*s\" is not [address]",
                         SPAN_PRINTF(host));
    if (end)
        host = (struct span){.data = text.data + 1, .size = end - 1};
    if (host.size == 0)
        return error_set(error, ERROR_INVALID, "the host is missing");
    address->port = PORT_DEFAULT;
    if (port.data && (!digits_read(port, 65535, &address->port) || address->port == 0))
        return error_set(error, ERROR_INVALID, "the port is not a number from 1 to 65535");
    address->host = arena_text(arena, host);
    return address->host ? true : error_set_memory(error);
}

static bool database_parse(struct span text, struct redis_address *address, struct error *error)
{
    if (text.size == 0 || digits_read(text, DATABASE_MAX, &address->database))
        return true;
    return error_set(error, ERROR_INVALID, "database \"%.*s\" is not a number from 0 to 65535",
                     SPAN_PRINTF(text));
}

static bool tcp_parse(struct span rest, struct arena *arena, struct redis_address *address,
                      struct error *error)
{
    size_t slash = span_find(rest, '/');
    /* From here on errors show parts of the URL, which must be none of a password. */
    if (memchr(rest.data + slash, '@', rest.size - slash))
        return error_set(error, ERROR_INVALID,
                         "a / before the @ (in a user or password) is written %%2F");
    struct span authority = span_first(rest, slash);
    struct span database = slash < rest.size ? span_from(rest, slash + 1) : (struct span){0};
    const char *at = authority.size ? memrchr(authority.data, '@', authority.size) : NULL;
    if (at) {
        size_t length = (size_t)(at - authority.data);
        if (!credentials_parse(span_first(authority, length), arena, address, error))
            return false;
        authority = span_from(authority, length + 1);
    }
    return host_parse(authority, arena, address, error) && database_parse(database, address, error);
}

/* What stands after "unix:" up to the path: nothing, "//", or "//user:password@". */
static bool unix_credentials_parse(struct span *rest, struct arena *arena,
                                   struct redis_address *address, struct error *error)
{
    if (!span_starts(*rest, "//"))
        return true;
    struct span after = span_from(*rest, 2);
    struct span authority = span_first(after, span_find(after, '/'));
    *rest = span_from(after, authority.size);
    if (authority.size == 0)
        return true;
    if (rest->size == 0 || authority.data[authority.size - 1] != '@')
        return error_set(error, ERROR_INVALID,
                         "unix:// is followed by /path or user:password@/path, as in "
                         "unix:///run/redis.sock");
    return credentials_parse(span_first(authority, authority.size - 1), arena, address, error);
}

static bool unix_parse(struct span rest, struct arena *arena, struct redis_address *address,
                       struct error *error)
{
    if (!unix_credentials_parse(&rest, arena, address, error))
        return false;
    size_t mark = span_find(rest, '?');
    struct span query = mark < rest.size ? span_from(rest, mark + 1) : (struct span){0};
    if (query.size && !span_starts(query, "db="))
        return error_set(error, ERROR_INVALID,
                         "after the socket's path only ?db=number is allowed");
    address->path = arena_text(arena, span_first(rest, mark));
    if (!address->path)
        return error_set_memory(error);
    return !query.size || database_parse(span_from(query, 3), address, error);
}

bool redis_address_parse(const char *url, struct arena *arena, struct redis_address *ret_address,
                         struct error *error)
{
    struct redis_address address = {0};
    struct span text = span_of(url);
    bool good;
    if (span_starts(text, "redis://"))
        good = tcp_parse(span_from(text, 8), arena, &address, error);
    else if (span_starts(text, "unix:/"))
        good = unix_parse(span_from(text, 5), arena, &address, error);
    else
        good = error_set(error, ERROR_INVALID, "it must begin with redis:// or unix:/");
    if (good)
        *ret_address = address;
    return good;
}

bool redis_address_of(const struct options *options, enum option option, struct arena *arena,
                      struct redis_address *ret_address, struct error *error)
{
    struct error reason;
    if (redis_address_parse(options_text(options, option), arena, ret_address, &reason))
        return true;
    return error_set(error, reason.kind, "%s: %.400s", option_rows[option].name, reason.text);
}
