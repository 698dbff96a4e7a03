#include "route/json_check.h"

#include <stdbool.h>

#include "base/utf8.h"

struct reader {
    struct span text;
    size_t at;
    size_t depth;
    const char *why;
};

static bool value_read(struct reader *reader);

static bool fail(struct reader *reader, const char *why)
{
    reader->why = why;
    return false;
}

static char peek(const struct reader *reader)
{
    return reader->at < reader->text.size ? reader->text.data[reader->at] : '\0';
}

static bool take(struct reader *reader, char byte)
{
    bool here = reader->at < reader->text.size && peek(reader) == byte;
    reader->at += here;
    return here;
}

static void blanks_skip(struct reader *reader)
{
    while (take(reader, ' ') || take(reader, '\t') || take(reader, '\n') || take(reader, '\r'))
        ;
}

static bool word_read(struct reader *reader, const char *word)
{
    if (!span_starts(span_from(reader->text, reader->at), word))
        return fail(reader, "a JSON value was expected");
    reader->at += strlen(word);
    return true;
}

static bool digits_read(struct reader *reader)
{
    size_t first = reader->at;
    while (peek(reader) >= '0' && peek(reader) <= '9')
        reader->at++;
    return reader->at > first || fail(reader, "a digit was expected");
}

static bool number_read(struct reader *reader)
{
    take(reader, '-');
    if (!take(reader, '0') && !digits_read(reader))
        return false;
    if (take(reader, '.') && !digits_read(reader))
        return false;
    if (!take(reader, 'e') && !take(reader, 'E'))
        return true;
    if (!take(reader, '+'))
        take(reader, '-');
    return digits_read(reader);
}

/* The four digits after \u. */
static bool unit_read(struct reader *reader, unsigned *ret_unit)
{
    unsigned unit = 0;
    for (int i = 0; i < 4; i++) {
        char byte = peek(reader);
        char letter = (char)(byte | 0x20);
        bool digit = byte >= '0' && byte <= '9';
        if (!digit && (letter < 'a' || letter > 'f'))
            return fail(reader, "\\u needs four hexadecimal digits");
        unit = unit * 16 + (unsigned)(digit ? byte - '0' : letter - 'a' + 10);
        reader->at++;
    }
    *ret_unit = unit;
    return true;
}

static bool unicode_read(struct reader *reader)
{
    unsigned unit, second;
    if (!unit_read(reader, &unit))
        return false;
    if (unit == 0)
        return fail(reader, "\\u0000 is not allowed");
    if (unit < 0xd800 || unit > 0xdfff)
        return true;
    if (unit > 0xdbff || !take(reader, '\\') || !take(reader, 'u'))
        return fail(reader, "half of a surrogate pair is not allowed");
    if (!unit_read(reader, &second))
        return false;
    return (second >= 0xdc00 && second <= 0xdfff) ||
           fail(reader, "half of a surrogate pair is not allowed");
}

static bool escape_read(struct reader *reader)
{
    char byte = peek(reader);
    if (!byte || !strchr("\"\\/bfnrtu", byte))
        return fail(reader, "an unknown escape in a text");
    reader->at++;
    return byte != 'u' || unicode_read(reader);
}

static bool character_read(struct reader *reader)
{
    if ((unsigned char)peek(reader) < 0x20)
        return fail(reader, reader->at < reader->text.size
                                ? "a control character in a text must be escaped"
                                : "a text is not closed");
    size_t length = utf8_character(span_from(reader->text, reader->at));
    if (!length)
        return fail(reader, "not UTF-8");
    reader->at += length;
    return true;
}

static bool string_read(struct reader *reader)
{
    if (!take(reader, '"'))
        return fail(reader, "a text in double quotes was expected");
    while (!take(reader, '"'))
        if (!(take(reader, '\\') ? escape_read(reader) : character_read(reader)))
            return false;
    return true;
}

static bool member_read(struct reader *reader)
{
    blanks_skip(reader);
    if (!string_read(reader))
        return false;
    blanks_skip(reader);
    if (!take(reader, ':'))
        return fail(reader, "':' was expected");
    return value_read(reader);
}

static bool items_read(struct reader *reader, char close, bool (*item)(struct reader *))
{
    reader->at++;
    if (++reader->depth > JSON_DEPTH_MAX)
        return fail(reader, "nested deeper than 64 levels");
    blanks_skip(reader);
    if (!take(reader, close)) {
        do {
            if (!item(reader))
                return false;
            blanks_skip(reader);
        } while (take(reader, ','));
        if (!take(reader, close))
            return fail(reader,
                        close == ']' ? "',' or ']' was expected" : "',' or '}' was expected");
    }
    reader->depth--;
    return true;
}

_Static_assert(JSON_DEPTH_MAX == 64, "the text above says 64");

static bool value_read(struct reader *reader)
{
    blanks_skip(reader);
    switch (peek(reader)) {
    case '{':
        return items_read(reader, '}', member_read);
    case '[':
        return items_read(reader, ']', value_read);
    case '"':
        return string_read(reader);
    case 't':
        return word_read(reader, "true");
    case 'f':
        return word_read(reader, "false");
    case 'n':
        return word_read(reader, "null");
    default:
        return peek(reader) == '-' || (peek(reader) >= '0' && peek(reader) <= '9')
                   ? number_read(reader)
                   : fail(reader, "a JSON value was expected");
    }
}

bool json_check(struct span text, size_t *ret_offset, const char **ret_why)
{
    struct reader reader = {.text = text};
    bool valid = value_read(&reader);
    if (valid)
        blanks_skip(&reader);
    if (valid && reader.at < text.size)
        valid = fail(&reader, "the value ends before the text does");
    if (!valid) {
        *ret_offset = reader.at;
        *ret_why = reader.why;
    }
    return valid;
}
