#include "base/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "base/network.h"

const struct option_row option_rows[OPTION_COUNT] = {
#define OPTION(symbol, name, type, fallback, min, max, choices, prose)                             \
    [OPTION_##symbol] = {name, OPTION_TYPE_##type, fallback, min, max, choices, prose},
#include "base/options.def"
#undef OPTION
};

static bool choice_find(const char *choices, struct span word, int64_t *ret_index)
{
    struct span rest = span_of(choices);
    for (int64_t index = 0; rest.data; index++) {
        if (span_equal(span_split(&rest, ','), word)) {
            *ret_index = index;
            return true;
        }
    }
    return false;
}

static bool number_read(struct span text, int64_t *ret_number)
{
    int64_t number = 0;
    if (text.size == 0)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' ||
            __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, text.data[i] - '0', &number))
            return false;
    }
    *ret_number = number;
    return true;
}

static bool name_valid(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        char byte = text.data[i];
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", byte))
            return false;
    }
    return true;
}

static bool url_valid(struct span text)
{
    return text.size == 0 || span_starts(text, "redis://") || span_starts(text, "unix:/");
}

/* Of host[:port], where an IPv6 address stands in brackets. */
static bool authority_valid(struct span text, const char *allowed)
{
    for (size_t i = 0; i < text.size; i++)
        if (!text.data[i] || !strchr(allowed, text.data[i]))
            return false;
    bool bracketed = text.size && text.data[0] == '[';
    size_t end = bracketed ? span_find(text, ']') + 1 : span_find(text, ':');
    int64_t port = 1;
    if (end > text.size || end < (bracketed ? 3 : 1))
        return false;
    struct span rest = span_from(text, end);
    return !rest.size || (rest.data[0] == ':' && number_read(span_from(rest, 1), &port) &&
                          port > 0 && port < 65536);
}

/* Plain http and no path: it is this host's own, and the path comes from elsewhere. */
static bool site_valid(struct span text)
{
    static const char scheme[] = "http://", allowed[] = "abcdefghijklmnopqrstuvwxyz"
                                                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                        "0123456789.-_:[]";
    if (!text.size)
        return true;
    if (!span_starts(text, scheme))
        return false;
    return authority_valid(span_from(text, strlen(scheme)), allowed);
}

/* Every item between commas, without blanks around it; empty ones are left out. */
static bool list_valid(struct span text, bool item_valid(struct span item))
{
    while (text.data) {
        struct span item = span_trim(span_split(&text, ','));
        if (item.size && !item_valid(item))
            return false;
    }
    return true;
}

/* RFC 9110, section 5.6.2. */
static bool token_valid(struct span item)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < item.size; i++) {
        char byte = item.data[i];
        bool good = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
                    (byte >= 'A' && byte <= 'Z') || (byte && strchr(others, byte));
        if (!good)
            return false;
    }
    return true;
}

static bool span_ends(struct span text, const char *end)
{
    size_t length = strlen(end);
    return text.size >= length && span_is(span_from(text, text.size - length), end);
}

/* As browsers send it (RFC 6454, section 6.1): no path, no capitals, no port that goes without
 * saying. */
static bool origin_valid(struct span item)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]";
    bool secure = span_starts(item, "https://");
    if (!secure && !span_starts(item, "http://"))
        return false;
    struct span host = span_from(item, secure ? strlen("https://") : strlen("http://"));
    return authority_valid(host, allowed) && !span_ends(host, secure ? ":443" : ":80");
}

static bool origins_valid(struct span text)
{
    return span_is(text, "*") || list_valid(text, origin_valid);
}

/* The number behind a text: itself, microseconds, bytes, an index, or a text's length. */
static bool value_read(const struct option_row *row, struct span text, int64_t *ret_number)
{
    *ret_number = (int64_t)text.size;
    switch (row->type) {
    case OPTION_TYPE_NUMBER:
        return number_read(text, ret_number);
    case OPTION_TYPE_DURATION:
        return duration_parse(text, ret_number, NULL);
    case OPTION_TYPE_SIZE:
        return size_parse(text, ret_number, NULL);
    case OPTION_TYPE_CHOICE:
        return choice_find(row->choices, text, ret_number);
    case OPTION_TYPE_NAME:
        return name_valid(text);
    case OPTION_TYPE_URL:
        return url_valid(text);
    case OPTION_TYPE_SITE:
        return site_valid(text);
    case OPTION_TYPE_ORIGINS:
        return origins_valid(text);
    case OPTION_TYPE_TOKENS:
        return list_valid(text, token_valid);
    case OPTION_TYPE_NETWORKS:
        return networks_valid(text);
    case OPTION_TYPE_TEXT:
    case OPTION_TYPE_PATH:
        break;
    }
    return true;
}

static bool option_read(const struct option_row *row, const char *text, int64_t *ret_number)
{
    if (!value_read(row, span_of(text), ret_number))
        return false;
    return row->type == OPTION_TYPE_CHOICE || (*ret_number >= row->min && *ret_number <= row->max);
}

/* The URL without what stands between "//" and the last '@' before the path. */
static void append_masked(const char *text, struct bytes *out)
{
    const char *authority = strstr(text, "://");
    const char *begin = authority ? authority + 3 : text;
    size_t length = strcspn(begin, "/");
    const char *at = memrchr(begin, '@', length);
    if (!authority || !at)
        at = strrchr(begin, '@'); /* a malformed URL may hold a password anywhere */
    if (!at) {
        bytes_append_text(out, text);
        return;
    }
    bytes_append(out, text, (size_t)(begin - text));
    bytes_append_text(out, "***");
    bytes_append_text(out, at);
}

static void append_printable(const struct option_row *row, const char *text, struct bytes *out)
{
    if (row->type == OPTION_TYPE_URL)
        append_masked(text, out);
    else
        bytes_append_text(out, text);
}

void options_append_printable(const struct options *options, enum option option,
                              struct bytes *ret_text)
{
    append_printable(&option_rows[option], options->values[option].text, ret_text);
}

static void append_choices(const char *choices, struct bytes *out)
{
    struct span rest = span_of(choices);
    while (rest.data) {
        bytes_append_span(out, span_split(&rest, ','));
        if (rest.data)
            bytes_append_text(out, memchr(rest.data, ',', rest.size) ? ", " : " or ");
    }
}

void options_append_allowed(const struct option_row *row, struct bytes *ret_text)
{
    char low[32], high[32];
    switch (row->type) {
    case OPTION_TYPE_NUMBER:
        bytes_append_format(ret_text, "a whole number from %" PRId64 " to %" PRId64, row->min,
                            row->max);
        break;
    case OPTION_TYPE_DURATION:
        bytes_append_format(ret_text, "a duration with a unit (ms, s, m, h, d) from %s to %s",
                            duration_format(row->min, low), duration_format(row->max, high));
        break;
    case OPTION_TYPE_SIZE:
        bytes_append_format(ret_text, "a size with a unit (B, KB, MB) from %s to %s",
                            size_format(row->min, low), size_format(row->max, high));
        break;
    case OPTION_TYPE_CHOICE:
        append_choices(row->choices, ret_text);
        break;
    case OPTION_TYPE_NAME:
        bytes_append_format(ret_text, "1 to %" PRId64 " letters, digits, '_', '.' or '-'",
                            row->max);
        break;
    case OPTION_TYPE_URL:
        bytes_append_text(ret_text, "redis://[user:password@]host[:port][/database] or "
                                    "unix://[user:password@]/path");
        break;
    case OPTION_TYPE_SITE:
        bytes_append_text(ret_text, "http://host[:port]");
        break;
    case OPTION_TYPE_ORIGINS:
        bytes_append_text(ret_text, "* or origins as browsers send them, https://host[:port] in "
                                    "small letters, parted by commas");
        break;
    case OPTION_TYPE_TOKENS:
        bytes_append_text(ret_text, "names parted by commas");
        break;
    case OPTION_TYPE_NETWORKS:
        bytes_append_text(ret_text, "addresses, networks as 10.0.0.0/8, and the word unix, parted "
                                    "by commas");
        break;
    case OPTION_TYPE_TEXT:
    case OPTION_TYPE_PATH:
        bytes_append_format(ret_text, "at most %" PRId64 " bytes", row->max);
        break;
    }
}

/* The longest part of a faulty value that is told. */
#define SHOWN_MAX 200

/* On one line, whatever it is. */
static void append_shown(struct span text, struct bytes *out)
{
    for (size_t i = 0; i < text.size && i < SHOWN_MAX; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (byte < 0x20 || byte == 0x7f)
            bytes_append_format(out, "\\x%02x", byte);
        else
            bytes_append_byte(out, (char)byte);
    }
    if (text.size > SHOWN_MAX)
        bytes_append_text(out, "...");
}

static void append_fault(const struct option_row *row, const char *text, struct bytes *faults)
{
    struct bytes printable CLEANUP(bytes_free) = BYTES_EMPTY;
    append_printable(row, text, &printable);
    bytes_append_format(faults, "%s is \"", row->name);
    append_shown(bytes_span(&printable), faults);
    bytes_append_text(faults, "\", but must be ");
    options_append_allowed(row, faults);
    bytes_append_byte(faults, '\n');
}

bool options_load(option_lookup *lookup, struct options *ret_options, struct bytes *ret_faults)
{
    struct options options;
    bool good = true;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &option_rows[i];
        struct option_value *value = &options.values[i];
        const char *text = lookup(row->name);
        value->given = text && *text;
        value->text = value->given ? text : row->fallback;
        if (!option_read(row, value->text, &value->number)) {
            append_fault(row, value->text, ret_faults);
            good = false;
        }
    }
    if (good)
        *ret_options = options;
    return good;
}

/* Read by packaging/quickstart and the tests, not by the programs. */
static const char *const foreign_names[] = {"LARDER_STATE",   "LARDER_PORT",  "LARDER_SCALE",
                                            "LARDER_URL",     "LARDER_BUILD", "LARDER_TEST_STATE",
                                            "LARDER_TEST_RUN"};

static bool name_known(struct span name)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (span_is(name, option_rows[i].name))
            return true;
    for (size_t i = 0; i < ARRAY_COUNT(foreign_names); i++)
        if (span_is(name, foreign_names[i]))
            return true;
    return false;
}

void options_unknown(char *const *environment, struct bytes *ret_lines)
{
    for (; environment && *environment; environment++) {
        struct span rest = span_of(*environment);
        struct span name = span_split(&rest, '=');
        if (span_starts(name, "LARDER_") && !name_known(name))
            bytes_append_format(ret_lines, "%.*s is set, but there is no such option\n",
                                SPAN_PRINTF(name));
    }
}

void options_append_sample(struct bytes *ret_text)
{
    bytes_append_text(
        ret_text, "# Larder's configuration: the environment of larder-fcgi, larderd and larder.\n"
                  "# PostgreSQL is reached as libpq's own variables say:\n"
                  "# PGHOST=/run/postgresql PGDATABASE=… PGUSER=larder\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &option_rows[i];
        bytes_append_format(ret_text, "\n# %s\n# Allowed: ", row->prose);
        options_append_allowed(row, ret_text);
        bytes_append_format(ret_text, "\n#%s=%s\n", row->name, row->fallback);
    }
}

void options_append_manual(struct bytes *ret_text)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &option_rows[i];
        bytes_append_format(ret_text, ".TP\n.B %s\n%s\nAllowed: ", row->name, row->prose);
        options_append_allowed(row, ret_text);
        bytes_append_format(ret_text, ".\nDefault: %s.\n",
                            *row->fallback ? row->fallback : "empty");
    }
}
