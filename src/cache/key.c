#include "cache/key.h"

/* Changes when the same file would be answered with another body: see db/shape.c. */
#define ANSWER_FORMAT "1\n"

static bool version_digest(struct span text, unsigned char digest[static DIGEST_SIZE],
                           struct error *error)
{
    struct bytes whole = BYTES_EMPTY;
    bytes_append_text(&whole, ANSWER_FORMAT);
    bytes_append_span(&whole, text);
    bool done =
        whole.failed ? error_set_memory(error) : digest_sha256(bytes_span(&whole), digest, error);
    bytes_free(&whole);
    return done;
}

bool cache_version_of(struct span text, struct cache_version *ret_version, struct error *error)
{
    unsigned char digest[DIGEST_SIZE];
    if (!version_digest(text, digest, error))
        return false;
    digest_hex(digest, 8, ret_version->hex);
    uint64_t number = 0;
    for (size_t i = 0; i < 8; i++)
        number = number << 8 | digest[i];
    ret_version->number = number ? number : 1;
    return true;
}

static void value_write(const struct value *value, struct bytes *out)
{
    switch (value->state) {
    case VALUE_ABSENT:
        bytes_append_byte(out, '-');
        break;
    case VALUE_NULL:
        bytes_append_byte(out, '~');
        break;
    case VALUE_TEXT:
        bytes_append_number(out, (int64_t)value->text.size);
        bytes_append_byte(out, ':');
        bytes_append_span(out, value->text);
        break;
    }
    bytes_append_byte(out, ',');
}

/* Replaces what stands behind `start` by "#" and its digest. */
static bool shorten(struct bytes *out, size_t start, struct error *error)
{
    unsigned char digest[DIGEST_SIZE];
    char hex[2 * DIGEST_SIZE + 1];
    if (!digest_sha256(span_from(bytes_span(out), start), digest, error))
        return false;
    digest_hex(digest, DIGEST_SIZE, hex);
    out->size = start;
    bytes_append_byte(out, '#');
    bytes_append_text(out, hex);
    return true;
}

bool cache_key_write(const char *name_space, const struct cache_version *version, const char *name,
                     const struct value *values, size_t count, struct bytes *out,
                     struct error *error)
{
    size_t begin = out->size;
    bytes_append_text(out, name_space);
    bytes_append_text(out, ":e:");
    bytes_append_text(out, version->hex);
    bytes_append_byte(out, ':');
    size_t tail = out->size;
    bytes_append_text(out, name);
    bytes_append_byte(out, ':');
    for (size_t i = 0; i < count; i++)
        value_write(&values[i], out);
    if (out->failed)
        return error_set_memory(error);
    if (out->size - begin > CACHE_KEY_MAX && !shorten(out, tail, error))
        return false;
    return out->failed ? error_set_memory(error) : true;
}

#define VERSION_SIZE (sizeof((struct cache_version *)NULL)->hex - 1)

/* Takes `text` off the front. */
static bool literal_take(struct span *rest, const char *text)
{
    if (!span_starts(*rest, text))
        return false;
    *rest = span_from(*rest, strlen(text));
    return true;
}

bool cache_key_read(const char *name_space, struct span key, struct cache_key *ret_key)
{
    struct span rest = key;
    if (!literal_take(&rest, name_space) || !literal_take(&rest, ":e:") ||
        rest.size <= VERSION_SIZE || rest.data[VERSION_SIZE] != ':')
        return false;
    ret_key->version = span_first(rest, VERSION_SIZE);
    ret_key->tail = span_from(rest, VERSION_SIZE + 1);
    ret_key->hashed = span_starts(ret_key->tail, "#");
    return true;
}

/* "12:" before a text of so many bytes. */
static bool size_take(struct span *rest, size_t *ret_size)
{
    size_t size = 0, at = 0;
    for (; at < rest->size && rest->data[at] >= '0' && rest->data[at] <= '9'; at++) {
        size = 10 * size + (size_t)(rest->data[at] - '0');
        if (size > rest->size)
            return false;
    }
    if (at == 0 || at == rest->size || rest->data[at] != ':' || size > rest->size - at - 1)
        return false;
    *rest = span_from(*rest, at + 1);
    *ret_size = size;
    return true;
}

static bool value_take(struct span *rest, struct arena *arena, struct value *ret_value)
{
    size_t size;
    *ret_value = (struct value){.state = VALUE_ABSENT};
    if (literal_take(rest, "-,"))
        return true;
    if (literal_take(rest, "~,")) {
        ret_value->state = VALUE_NULL;
        return true;
    }
    if (!size_take(rest, &size))
        return false;
    ret_value->state = VALUE_TEXT;
    ret_value->text = arena_span(arena, span_first(*rest, size));
    *rest = span_from(*rest, size);
    return ret_value->text.data && literal_take(rest, ",");
}

bool cache_key_values(const struct cache_key *key, const char *name, struct arena *arena,
                      struct value *ret_values, size_t count)
{
    struct span rest = key->tail;
    bool good = !key->hashed && literal_take(&rest, name) && literal_take(&rest, ":");
    for (size_t i = 0; good && i < count; i++)
        good = value_take(&rest, arena, &ret_values[i]);
    return good && rest.size == 0;
}
