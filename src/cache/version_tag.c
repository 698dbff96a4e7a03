#include "cache/version_tag.h"

#include "base/base64url.h"
#include "base/digest.h"
#include "base/json.h"
#include "http/etag.h"

_Static_assert((VERSION_MAX * 4 + 2) / 3 == ENTRY_TAG_MAX - ENTRY_TAG_SIZE - 1,
               "a tag has room for a version");

/* A string's characters, or a number's digits; false: it is neither, or too long. */
static bool text_of(const struct json *value, struct arena *arena, struct span *ret_text)
{
    *ret_text = value->text;
    if (value->kind == JSON_STRING && !json_string(value, arena, ret_text))
        return false;
    return (value->kind == JSON_STRING || value->kind == JSON_NUMBER) && ret_text->size &&
           ret_text->size <= VERSION_MAX;
}

/* Base64url has '-', with which the suffixes of codings begin. */
static void letters_swap(char *text, char from, char to)
{
    for (; *text; text++)
        if (*text == from)
            *text = to;
}

void version_tag_append(struct span body, struct span column, char tag[static ENTRY_TAG_MAX + 1])
{
    struct span version;
    struct json row, value;
    struct arena *arena = column.size && body.size ? arena_new() : NULL;
    if (!arena)
        return;
    row = json_of(body);
    if (json_member(&row, column, &value) && text_of(&value, arena, &version)) {
        tag[ENTRY_TAG_SIZE] = '.';
        digest_base64url((const unsigned char *)version.data, version.size,
                         tag + ENTRY_TAG_SIZE + 1);
        letters_swap(tag + ENTRY_TAG_SIZE + 1, '-', '+');
    }
    arena_free(arena);
}

#define LETTERS_MAX (ENTRY_TAG_MAX - ENTRY_TAG_SIZE - 1)

/* Nothing that could not stand in a text. */
static bool decode(struct span letters, char ret_text[static VERSION_MAX + 1])
{
    char copy[LETTERS_MAX + 1], bytes[BASE64URL_ROOM(LETTERS_MAX)];
    size_t size;
    if (!letters.size || letters.size > LETTERS_MAX || memchr(letters.data, '\0', letters.size))
        return false;
    memcpy(copy, letters.data, letters.size);
    copy[letters.size] = '\0';
    letters_swap(copy, '+', '-');
    if (!base64url_decode((struct span){.data = copy, .size = letters.size}, bytes, &size) ||
        size > VERSION_MAX || memchr(bytes, '\0', size))
        return false;
    memcpy(ret_text, bytes, size);
    ret_text[size] = '\0';
    return size > 0;
}

/* The version in one entity tag; false: it is none of a read with @version. */
static bool tag_read(struct span opaque, char ret_text[static VERSION_MAX + 1])
{
    if (opaque.size <= ENTRY_TAG_SIZE || opaque.data[ENTRY_TAG_SIZE] != '.')
        return false;
    struct span letters = span_from(opaque, ENTRY_TAG_SIZE + 1);
    return decode(span_first(letters, span_find(letters, '-')), ret_text);
}

enum version_kind version_tag_read(struct span if_match, char ret_text[static VERSION_MAX + 1])
{
    enum version_kind kind = VERSION_OTHER;
    struct etag tag;
    char text[VERSION_MAX + 1];
    if (span_is(span_trim(if_match), "*"))
        return VERSION_ANY;
    while (etag_next(&if_match, &tag)) {
        if (tag.weak || !tag_read(tag.opaque, text))
            continue;
        if (kind == VERSION_GIVEN && strcmp(text, ret_text) != 0)
            return VERSION_SEVERAL;
        strcpy(ret_text, text);
        kind = VERSION_GIVEN;
    }
    return kind;
}
