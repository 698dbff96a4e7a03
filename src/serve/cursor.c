#include "serve/cursor.h"

#include "base/base64url.h"
#include "base/json.h"

/* Above all that a body may begin with, whose digests have the same key. */
#define FORM_AFTER '\x02'
#define FORM_BEFORE '\x03'

#define MARK_SIZE 4
#define SEAL_SIZE 8

/* Where the parts begin. */
enum {
    AT_NAME = 1,
    AT_VERSION = AT_NAME + MARK_SIZE,
    AT_SEAL = AT_VERSION + MARK_SIZE,
    AT_KEY = AT_SEAL + SEAL_SIZE,
};

static bool mark_write(const char *text, char *out)
{
    unsigned char digest[DIGEST_SIZE];
    if (!digest_sha256(span_of(text), digest, NULL))
        return false;
    memcpy(out, digest, MARK_SIZE);
    return true;
}

/* What the cursor begins with: its form and the owner's two marks. */
static bool head_write(const struct cursor_owner *owner, char form, char head[static AT_SEAL])
{
    head[0] = form;
    return mark_write(owner->name, head + AT_NAME) &&
           mark_write(owner->version->hex, head + AT_VERSION);
}

static bool seal_write(const struct digest_key *key, struct span head, struct span rest,
                       char out[static SEAL_SIZE])
{
    struct bytes sealed CLEANUP(bytes_free) = BYTES_EMPTY;
    unsigned char digest[DIGEST_SIZE];
    bytes_append_span(&sealed, head);
    bytes_append_span(&sealed, rest);
    if (sealed.failed || !digest_keyed(key, bytes_span(&sealed), digest, NULL))
        return false;
    memcpy(out, digest, SEAL_SIZE);
    return true;
}

bool cursor_write(const struct cursor_owner *owner, bool before, struct span key,
                  struct arena *arena, struct span *ret_text)
{
    size_t size = AT_KEY + key.size;
    char *bytes = arena_alloc(arena, size);
    char *text = arena_alloc(arena, (size * 4 + 2) / 3 + 1);
    if (!bytes || !text || !head_write(owner, before ? FORM_BEFORE : FORM_AFTER, bytes) ||
        !seal_write(owner->key, (struct span){bytes, AT_SEAL}, key, bytes + AT_SEAL))
        return false;
    memcpy(bytes + AT_KEY, key.data, key.size);
    digest_base64url((const unsigned char *)bytes, size, text);
    *ret_text = span_of(text);
    return true;
}

/* The bytes, if a cursor they can be. */
static bool bytes_read(struct span text, struct arena *arena, struct span *ret_bytes,
                       bool *ret_memory)
{
    struct error error = {0};
    struct span bytes;
    bool read = base64url_read(text, arena, &bytes, &error);
    *ret_memory = !read && error.kind == ERROR_MEMORY;
    if (!read || bytes.size <= AT_KEY ||
        (bytes.data[0] != FORM_AFTER && bytes.data[0] != FORM_BEFORE))
        return false;
    *ret_bytes = bytes;
    return true;
}

/* Takes as long wherever the two differ. */
static bool seals_equal(const char *one, const char *other)
{
    unsigned char differs = 0;
    for (size_t i = 0; i < SEAL_SIZE; i++)
        differs |= (unsigned char)(one[i] ^ other[i]);
    return differs == 0;
}

static bool is_sealed(const struct cursor_owner *owner, struct span bytes, bool *ret_memory)
{
    char seal[SEAL_SIZE];
    *ret_memory =
        !seal_write(owner->key, span_first(bytes, AT_SEAL), span_from(bytes, AT_KEY), seal);
    return !*ret_memory && seals_equal(seal, bytes.data + AT_SEAL);
}

bool cursor_check(const struct cursor_owner *owner, size_t count, struct span text,
                  struct arena *arena, const char **ret_problem)
{
    static const char unknown[] = "must be one that an answer's Link gave, whole and unchanged; "
                                  "without it comes the first page";
    struct span bytes;
    struct cursor cursor;
    char head[AT_SEAL];
    bool memory;
    *ret_problem = NULL;
    if (!bytes_read(text, arena, &bytes, &memory) || !is_sealed(owner, bytes, &memory)) {
        *ret_problem = memory ? NULL : unknown;
        return false;
    }
    if (!head_write(owner, bytes.data[0], head))
        return false;
    if (memcmp(head + AT_NAME, bytes.data + AT_NAME, MARK_SIZE) != 0)
        *ret_problem = "must be one of this route's, not another's";
    else if (memcmp(head + AT_VERSION, bytes.data + AT_VERSION, MARK_SIZE) != 0)
        *ret_problem = "must be one that this version of the route gave, not an earlier one: begin "
                       "again without it";
    else if (!cursor_read(text, count, arena, &cursor))
        *ret_problem = unknown;
    return !*ret_problem;
}

bool cursor_read(struct span text, size_t count, struct arena *arena, struct cursor *ret_cursor)
{
    struct span bytes, value;
    struct json array, element;
    struct json_place place = {0};
    struct error error;
    bool memory;
    if (!bytes_read(text, arena, &bytes, &memory) ||
        !json_read(span_from(bytes, AT_KEY), 2, arena, &array, &error) || array.kind != JSON_ARRAY)
        return false;
    struct cursor cursor = {.before = bytes.data[0] == FORM_BEFORE};
    size_t found = 0;
    for (; json_next_element(&array, &place, &element); found++) {
        if (found == count || (element.kind != JSON_NULL && element.kind != JSON_STRING) ||
            (element.kind == JSON_STRING && !json_string(&element, arena, &value)))
            return false;
        cursor.texts[found] = element.kind == JSON_STRING ? value.data : NULL;
    }
    if (found == count)
        *ret_cursor = cursor;
    return found == count;
}
