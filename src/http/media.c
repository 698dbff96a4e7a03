#include "http/media.h"

#include "http/field.h"
#include "http/header.h"

/* How closely a range fits a type; of two ranges the closer one decides. */
enum fit {
    FIT_NONE,
    FIT_ANY,
    FIT_TYPE,
    FIT_EXACT,
};

struct media {
    struct span type;
    struct span subtype;
};

static bool media_read(struct span text, struct media *ret_media)
{
    struct span any = SPAN_LITERAL("*");
    struct media media = {.type = span_split(&text, '/'), .subtype = text};
    if (span_equal(media.type, any) && !text.data)
        media.subtype = any;
    if (!header_token_valid(media.type) || !header_token_valid(media.subtype))
        return false;
    if (span_equal(media.type, any) && !span_equal(media.subtype, any))
        return false;
    *ret_media = media;
    return true;
}

static bool names_equal(struct span a, struct span b)
{
    return a.size == b.size && strncasecmp(a.data, b.data, a.size) == 0;
}

static enum fit fit_of(const struct media *range, const struct media *type)
{
    if (span_is(range->type, "*"))
        return FIT_ANY;
    if (!names_equal(range->type, type->type))
        return FIT_NONE;
    if (span_is(range->subtype, "*"))
        return FIT_TYPE;
    return names_equal(range->subtype, type->subtype) ? FIT_EXACT : FIT_NONE;
}

static bool range_read(struct span member, struct media *ret_range, unsigned *ret_quality)
{
    struct span name = field_part_next(&member);
    return field_quality(member, ret_quality) && media_read(name, ret_range);
}

/* The type's weight in thousandths. */
static unsigned quality_of(struct span header, const char *type_name)
{
    struct media type, range;
    struct span member;
    enum fit best_fit = FIT_NONE;
    unsigned best = 0, quality;
    bool readable = false;
    if (!media_read(span_of(type_name), &type))
        return 0;
    while (field_member_next(&header, &member)) {
        if (!range_read(member, &range, &quality))
            continue;
        readable = true;
        enum fit fit = fit_of(&range, &type);
        if (fit > best_fit || (fit == best_fit && fit && quality > best)) {
            best_fit = fit;
            best = quality;
        }
    }
    return readable ? best : FIELD_QUALITY_MAX;
}

bool media_acceptable(struct span accept_header, const char *type)
{
    return quality_of(accept_header, type) > 0;
}

bool media_choose(struct span accept_header, const char *const *types, size_t count,
                  size_t *ret_index)
{
    unsigned best = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned quality = quality_of(accept_header, types[i]);
        if (quality > best) {
            best = quality;
            *ret_index = i;
        }
    }
    return best > 0;
}

/* The value of a charset parameter; false: the parameter is another, or malformed. */
static bool charset_read(struct span parameter, struct span *ret_charset)
{
    struct span value = parameter;
    struct span name = span_trim(span_split(&value, '='));
    value = span_trim(value);
    if (!span_is_nocase(name, "charset"))
        return false;
    if (value.size >= 2 && value.data[0] == '"' && value.data[value.size - 1] == '"')
        value = (struct span){.data = value.data + 1, .size = value.size - 2};
    *ret_charset = value;
    return value.size > 0;
}

bool media_type_read(struct span content_type, struct span *ret_type, struct span *ret_charset)
{
    struct media media;
    struct span rest = content_type, charset = {0};
    struct span type = field_part_next(&rest);
    if (!media_read(type, &media) || span_is(media.type, "*") || span_is(media.subtype, "*"))
        return false;
    while (rest.data && !charset.data) {
        struct span parameter = field_part_next(&rest);
        if (!charset_read(parameter, &charset))
            charset = (struct span){0};
    }
    *ret_type = type;
    *ret_charset = charset;
    return true;
}
