#include "http/field.h"

#include "http/header.h"

/* Where `delimiter` first stands outside quoted texts, or text.size. */
static size_t delimiter_find(struct span text, char delimiter)
{
    bool quoted = false;
    for (size_t i = 0; i < text.size; i++) {
        char byte = text.data[i];
        if (byte == '"')
            quoted = !quoted;
        else if (byte == '\\' && quoted)
            i++;
        else if (byte == delimiter && !quoted)
            return i;
    }
    return text.size;
}

static struct span part_take(struct span *rest, char delimiter)
{
    size_t at = delimiter_find(*rest, delimiter);
    struct span part = span_first(*rest, at);
    *rest = at < rest->size ? span_from(*rest, at + 1) : (struct span){0};
    return span_trim(part);
}

bool field_member_next(struct span *rest, struct span *ret_member)
{
    while (rest->size) {
        struct span member = part_take(rest, ',');
        if (member.size) {
            *ret_member = member;
            return true;
        }
    }
    return false;
}

struct span field_part_next(struct span *rest)
{
    return part_take(rest, ';');
}

/* The three digits of a fraction in thousandths; further digits are cut off. */
static bool fraction_read(struct span digits, unsigned *ret_thousandths)
{
    unsigned value = 0, scale = 100;
    for (size_t i = 0; i < digits.size; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return false;
        value += (unsigned)(digits.data[i] - '0') * scale;
        scale /= 10;
    }
    *ret_thousandths = value;
    return true;
}

static bool weight_read(struct span text, unsigned *ret_quality)
{
    unsigned whole = 0, fraction = 0;
    if (text.size && (text.data[0] == '0' || text.data[0] == '1')) {
        whole = text.data[0] == '1';
        text = span_from(text, 1);
    } else if (text.size < 2) {
        return false;
    }
    if (text.size && (text.data[0] != '.' || !fraction_read(span_from(text, 1), &fraction)))
        return false;
    unsigned quality = whole * FIELD_QUALITY_MAX + fraction;
    if (quality > FIELD_QUALITY_MAX)
        return false;
    *ret_quality = quality;
    return true;
}

bool field_quality(struct span parameters, unsigned *ret_quality)
{
    while (parameters.data) {
        struct span parameter = field_part_next(&parameters);
        if (parameter.size >= 2 && (parameter.data[0] | 0x20) == 'q' && parameter.data[1] == '=')
            return weight_read(span_from(parameter, 2), ret_quality);
    }
    *ret_quality = FIELD_QUALITY_MAX;
    return true;
}

struct span field_unquoted(struct span text)
{
    bool quoted = text.size >= 2 && text.data[0] == '"' && text.data[text.size - 1] == '"';
    return quoted ? span_first(span_from(text, 1), text.size - 2) : text;
}

bool field_seconds(struct span text, int64_t most, int64_t *ret_seconds)
{
    int64_t seconds = 0;
    text = field_unquoted(text);
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        seconds = seconds * 10 + (text.data[i] - '0');
        seconds = seconds > most ? most : seconds;
    }
    if (text.size)
        *ret_seconds = seconds;
    return text.size > 0;
}
