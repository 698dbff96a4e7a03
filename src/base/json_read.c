/*
 * The check of a JSON text. The names of all objects that are open stand on one stack, those of the
 * innermost on top; an object that closes sorts its own and finds equal ones side by side, so that
 * a text of n bytes costs n log n, however its objects lie within each other.
 */
#include <stdlib.h>

#include "base/json.h"
#include "base/utf8.h"

struct reader {
    struct span text;
    size_t at;
    unsigned depth, depth_max;
    struct arena *arena;
    struct json *names;
    size_t name_count, name_room;
    bool no_memory;
    const char *why;
};

static bool value_read(struct reader *reader);

static bool fail(struct reader *reader, const char *why)
{
    reader->why = why;
    return false;
}

static bool no_memory(struct reader *reader)
{
    reader->no_memory = true;
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

/* What it says, or JSON_DIGITS_MAX + 1 where it is more. */
static bool exponent_read(struct reader *reader, size_t *ret_exponent)
{
    size_t exponent = 0;
    if (!take(reader, 'e') && !take(reader, 'E')) {
        *ret_exponent = 0;
        return true;
    }
    if (!take(reader, '+'))
        take(reader, '-');
    size_t first = reader->at;
    if (!digits_read(reader))
        return false;
    for (size_t at = first; at < reader->at && exponent <= JSON_DIGITS_MAX; at++)
        exponent = exponent * 10 + (size_t)(reader->text.data[at] - '0');
    *ret_exponent = exponent <= JSON_DIGITS_MAX ? exponent : JSON_DIGITS_MAX + 1;
    return true;
}

static bool number_read(struct reader *reader)
{
    size_t first = reader->at, exponent;
    take(reader, '-');
    if (!take(reader, '0') && !digits_read(reader))
        return false;
    if (take(reader, '.') && !digits_read(reader))
        return false;
    size_t digits = reader->at - first;
    if (!exponent_read(reader, &exponent))
        return false;
    return digits + exponent <= JSON_DIGITS_MAX ||
           fail(reader, "a number may have 1000 digits, its exponent counted in");
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

static bool name_push(struct reader *reader, struct span text)
{
    if (reader->name_count == reader->name_room) {
        size_t room = reader->name_room ? 2 * reader->name_room : 32;
        struct json *names = arena_array(reader->arena, room, sizeof *names);
        if (!names)
            return no_memory(reader);
        if (reader->name_count)
            memcpy(names, reader->names, reader->name_count * sizeof *names);
        reader->names = names;
        reader->name_room = room;
    }
    reader->names[reader->name_count++] = (struct json){.kind = JSON_STRING, .text = text};
    return true;
}

static bool member_read(struct reader *reader)
{
    blanks_skip(reader);
    size_t first = reader->at;
    if (!string_read(reader))
        return false;
    struct span name = {.data = reader->text.data + first, .size = reader->at - first};
    if (!name_push(reader, name))
        return false;
    blanks_skip(reader);
    if (!take(reader, ':'))
        return fail(reader, "':' was expected");
    return value_read(reader);
}

static int names_compare(const void *a, const void *b)
{
    return json_string_compare(a, b);
}

/* Of equal names the one that stands last in the text is where the reader stops. */
static bool names_differ(struct reader *reader, size_t first)
{
    size_t count = reader->name_count - first;
    reader->name_count = first;
    if (count < 2)
        return true;
    struct json *names = reader->names + first;
    qsort(names, count, sizeof *names, names_compare);
    for (size_t i = 1; i < count; i++) {
        if (json_string_compare(&names[i - 1], &names[i]) != 0)
            continue;
        const char *later = names[i - 1].text.data > names[i].text.data ? names[i - 1].text.data
                                                                        : names[i].text.data;
        reader->at = (size_t)(later - reader->text.data);
        return fail(reader, "a name that the object has already");
    }
    return true;
}

static bool items_read(struct reader *reader, char close, bool (*item)(struct reader *))
{
    reader->at++;
    if (++reader->depth > reader->depth_max)
        return fail(reader, NULL);
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

static bool object_read(struct reader *reader)
{
    size_t first = reader->name_count;
    return items_read(reader, '}', member_read) && names_differ(reader, first);
}

static bool value_read(struct reader *reader)
{
    blanks_skip(reader);
    switch (peek(reader)) {
    case '{':
        return object_read(reader);
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

static bool refuse(const struct reader *reader, struct error *error)
{
    if (reader->no_memory)
        return error_set_memory(error);
    if (!reader->why)
        return error_set(error, ERROR_INVALID, "nested deeper than %u levels at byte %zu",
                         reader->depth_max, reader->at);
    return error_set(error, ERROR_INVALID, "%s at byte %zu", reader->why, reader->at + 1);
}

bool json_read(struct span text, unsigned depth_max, struct arena *arena, struct json *ret_value,
               struct error *error)
{
    struct reader reader = {.text = text, .depth_max = depth_max, .arena = arena};
    blanks_skip(&reader);
    size_t first = reader.at;
    if (!value_read(&reader))
        return refuse(&reader, error);
    struct span value = {.data = text.data + first, .size = reader.at - first};
    blanks_skip(&reader);
    if (reader.at < text.size) {
        fail(&reader, "the value ends before the text does");
        return refuse(&reader, error);
    }
    *ret_value = json_of(value);
    return true;
}
