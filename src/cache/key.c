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
