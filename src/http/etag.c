#include "http/etag.h"

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* RFC 9110, section 8.8.3: etagc; anything visible but the quote, and bytes above 0x7F. */
static bool is_tag_byte(char byte)
{
    unsigned char value = (unsigned char)byte;
    return value > 0x20 && value != '"' && value != 0x7f;
}

/* The tag `text` begins with; only a comma or the end may follow it. */
static bool tag_read(struct span text, struct etag *ret_etag, size_t *ret_size)
{
    bool weak = span_starts(text, "W/");
    size_t start = weak ? 2 : 0;
    if (start == text.size || text.data[start] != '"')
        return false;
    size_t end = ++start;
    while (end < text.size && is_tag_byte(text.data[end]))
        end++;
    if (end == text.size || text.data[end] != '"')
        return false;
    size_t after = end + 1;
    while (after < text.size && is_blank(text.data[after]))
        after++;
    if (after < text.size && text.data[after] != ',')
        return false;
    *ret_etag = (struct etag){
        .opaque = {.data = text.data + start, .size = end - start},
        .weak = weak,
    };
    *ret_size = after;
    return true;
}

bool etag_next(struct span *rest, struct etag *ret_etag)
{
    while (rest->size) {
        size_t size;
        if (is_blank(rest->data[0]) || rest->data[0] == ',') {
            *rest = span_from(*rest, 1);
        } else if (tag_read(*rest, ret_etag, &size)) {
            *rest = span_from(*rest, size);
            return true;
        } else {
            /* from the malformed member's start: an unclosed quote must not hide what follows */
            *rest = span_from(*rest, span_find(*rest, ','));
        }
    }
    return false;
}

static bool names_one_of(const struct etag *etag, const struct span *tags, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (span_equal(etag->opaque, tags[i]))
            return true;
    return false;
}

static bool list_matches(struct span header, const struct span *tags, size_t count, bool weak_too)
{
    struct etag etag;
    if (span_is(span_trim(header), "*"))
        return true;
    while (etag_next(&header, &etag))
        if ((weak_too || !etag.weak) && names_one_of(&etag, tags, count))
            return true;
    return false;
}

bool etag_list_matches_weak(struct span header, const struct span *tags, size_t count)
{
    return list_matches(header, tags, count, true);
}

bool etag_list_matches_strong(struct span header, const struct span *tags, size_t count)
{
    return list_matches(header, tags, count, false);
}
