#include "base/json.h"

#include <stdlib.h>

#include "base/utf8.h"

/* Kinds by a value's first byte; anything else begins a number. */
struct json json_of(struct span text)
{
    static const struct {
        char first;
        enum json_kind kind;
    } kinds[] = {
        {'{', JSON_OBJECT},  {'[', JSON_ARRAY},   {'"', JSON_STRING},
        {'t', JSON_BOOLEAN}, {'f', JSON_BOOLEAN}, {'n', JSON_NULL},
    };
    struct json value = {.kind = JSON_NUMBER, .text = text};
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        if (text.data[0] == kinds[i].first)
            value.kind = kinds[i].kind;
    return value;
}

static size_t blanks_end(struct span text, size_t at)
{
    while (at < text.size && strchr(" \t\r\n", text.data[at]))
        at++;
    return at;
}

/* Behind the string that begins at `at`. */
static size_t string_end(struct span text, size_t at)
{
    while (text.data[++at] != '"')
        at += text.data[at] == '\\';
    return at + 1;
}

/* Behind the array or object that begins at `at`. */
static size_t nest_end(struct span text, size_t at)
{
    size_t depth = 0;
    do {
        char byte = text.data[at];
        depth += byte == '{' || byte == '[';
        depth -= byte == '}' || byte == ']';
        at = byte == '"' ? string_end(text, at) : at + 1;
    } while (depth);
    return at;
}

static size_t value_end(struct span text, size_t at)
{
    switch (text.data[at]) {
    case '{':
    case '[':
        return nest_end(text, at);
    case '"':
        return string_end(text, at);
    default:
        while (!strchr(",]} \t\r\n", text.data[at]))
            at++;
        return at;
    }
}

static struct json value_take(struct span text, size_t *at)
{
    size_t first = *at;
    *at = value_end(text, first);
    return json_of((struct span){.data = text.data + first, .size = *at - first});
}

/* Goes to the next item: past the bracket or the comma. False: there is none. */
static bool item_find(const struct json *nest, enum json_kind kind, size_t *at)
{
    if (nest->kind != kind)
        return false;
    size_t next = blanks_end(nest->text, *at ? *at : 1);
    if (*at && next < nest->text.size && nest->text.data[next] == ',')
        next = blanks_end(nest->text, next + 1);
    *at = next;
    return next + 1 < nest->text.size;
}

bool json_next_element(const struct json *array, struct json_place *place, struct json *ret_element)
{
    if (!item_find(array, JSON_ARRAY, &place->at))
        return false;
    *ret_element = value_take(array->text, &place->at);
    return true;
}

bool json_next_member(const struct json *object, struct json_place *place, struct json *ret_name,
                      struct json *ret_value)
{
    if (!item_find(object, JSON_OBJECT, &place->at))
        return false;
    *ret_name = value_take(object->text, &place->at);
    place->at = blanks_end(object->text, blanks_end(object->text, place->at) + 1);
    *ret_value = value_take(object->text, &place->at);
    return true;
}

bool json_member(const struct json *object, struct span name, struct json *ret_value)
{
    struct json_place place = {0};
    struct json key, value;
    while (json_next_member(object, &place, &key, &value))
        if (json_string_is(&key, name)) {
            *ret_value = value;
            return true;
        }
    return false;
}

static struct span inside(const struct json *string)
{
    return (struct span){.data = string->text.data + 1, .size = string->text.size - 2};
}

static bool is_plain(struct span text)
{
    return text.size == 0 || !memchr(text.data, '\\', text.size);
}

static unsigned hex_value(char digit)
{
    return (unsigned)(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
}

/* The four digits behind \u, which stand two bytes on. */
static unsigned unit_at(const char *escape)
{
    unsigned unit = 0;
    for (size_t i = 2; i < 6; i++)
        unit = unit << 4 | hex_value(escape[i]);
    return unit;
}

static size_t utf8_put(unsigned point, char *out)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    size_t length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = length; --i > 0; point >>= 6)
        out[i] = (char)(0x80 | (point & 0x3f));
    out[0] = (char)((0xf00 >> length & 0xff) | point);
    return length;
}

/* One character of a string: its bytes in UTF-8, and where the next one begins. */
static size_t character_take(struct span *rest, char out[static 4])
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    size_t taken = 2, length = 1;
    if (rest->data[0] != '\\') {
        taken = length = utf8_character(*rest);
        memcpy(out, rest->data, length);
    } else if (rest->data[1] != 'u') {
        out[0] = meanings[strchr(letters, rest->data[1]) - letters];
    } else {
        unsigned point = unit_at(rest->data);
        taken = 6;
        if (point >= 0xd800 && point <= 0xdbff) {
            point = 0x10000 + ((point - 0xd800) << 10) + (unit_at(rest->data + 6) - 0xdc00);
            taken = 12;
        }
        length = utf8_put(point, out);
    }
    *rest = span_from(*rest, taken);
    return length;
}

/* Unescaped, a string is never longer than it was. */
static size_t unescape(struct span text, char *out)
{
    size_t size = 0;
    char character[4];
    while (text.size) {
        size_t length = character_take(&text, character);
        memcpy(out + size, character, length);
        size += length;
    }
    return size;
}

static int bytes_compare(struct span a, struct span b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

int json_string_compare(const struct json *a, const struct json *b)
{
    struct span left = inside(a), right = inside(b);
    if (is_plain(left) && is_plain(right))
        return bytes_compare(left, right);
    while (left.size && right.size) {
        char one[4], other[4];
        struct span first = {.data = one}, second = {.data = other};
        first.size = character_take(&left, one);
        second.size = character_take(&right, other);
        int order = bytes_compare(first, second);
        if (order)
            return order;
    }
    return (left.size > 0) - (right.size > 0);
}

bool json_string_is(const struct json *string, struct span text)
{
    struct span rest = inside(string);
    if (is_plain(rest))
        return span_equal(rest, text);
    while (rest.size) {
        char character[4];
        size_t length = character_take(&rest, character);
        if (text.size < length || memcmp(text.data, character, length) != 0)
            return false;
        text = span_from(text, length);
    }
    return text.size == 0;
}

bool json_string(const struct json *string, struct arena *arena, struct span *ret_text)
{
    struct span raw = inside(string);
    char *text = arena_alloc(arena, raw.size + 1);
    if (!text)
        return false;
    *ret_text = (struct span){.data = text, .size = unescape(raw, text)};
    return true;
}

void json_write_string(struct span text, struct bytes *out)
{
    bytes_append_json(out, text);
}

static void string_write(const struct json *string, struct bytes *out)
{
    struct span raw = inside(string);
    char *text = malloc(raw.size + 1);
    if (!text) {
        out->failed = true;
        return;
    }
    json_write_string((struct span){.data = text, .size = unescape(raw, text)}, out);
    free(text);
}

struct member {
    struct json name, value;
};

static int members_compare(const void *a, const void *b)
{
    const struct member *left = a, *right = b;
    return json_string_compare(&left->name, &right->name);
}

/* The object's members, sorted; the caller's to free. Null: memory. */
static struct member *members_sorted(const struct json *object, size_t *ret_count)
{
    struct json_place place = {0};
    struct member member;
    size_t count = 0;
    while (json_next_member(object, &place, &member.name, &member.value))
        count++;
    struct member *members = calloc(count + 1, sizeof *members);
    if (!members)
        return NULL;
    place.at = 0;
    for (size_t i = 0; i < count; i++)
        if (!json_next_member(object, &place, &members[i].name, &members[i].value))
            break;
    qsort(members, count, sizeof *members, members_compare);
    *ret_count = count;
    return members;
}

static void object_write(const struct json *object, struct bytes *out)
{
    size_t count;
    struct member *members = members_sorted(object, &count);
    if (!members) {
        out->failed = true;
        return;
    }
    bytes_append_byte(out, '{');
    for (size_t i = 0; i < count; i++) {
        bytes_append_text(out, i ? "," : "");
        string_write(&members[i].name, out);
        bytes_append_byte(out, ':');
        json_write_canonical(&members[i].value, out);
    }
    bytes_append_byte(out, '}');
    free(members);
}

static void array_write(const struct json *array, struct bytes *out)
{
    struct json_place place = {0};
    struct json element;
    const char *comma = "";
    bytes_append_byte(out, '[');
    for (; json_next_element(array, &place, &element); comma = ",") {
        bytes_append_text(out, comma);
        json_write_canonical(&element, out);
    }
    bytes_append_byte(out, ']');
}

void json_write_canonical(const struct json *value, struct bytes *out)
{
    switch (value->kind) {
    case JSON_STRING:
        string_write(value, out);
        break;
    case JSON_ARRAY:
        array_write(value, out);
        break;
    case JSON_OBJECT:
        object_write(value, out);
        break;
    case JSON_NULL:
    case JSON_BOOLEAN:
    case JSON_NUMBER:
        bytes_append_span(out, value->text);
    }
}
