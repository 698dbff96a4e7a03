/*
 * Any bytes as JSON: what is taken can be walked, and its canonical text is its own canonical text.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void string_walk(const struct json *string, struct arena *arena)
{
    struct span text;
    must(json_string(string, arena, &text));
    must(utf8_valid(text) && strlen(text.data) == text.size);
    must(json_string_is(string, text) && json_string_compare(string, string) == 0);
}

static void walk(const struct json *value, struct arena *arena)
{
    struct json_place place = {0};
    struct json name, item, found;
    must(value->text.size > 0);
    if (value->kind == JSON_STRING)
        string_walk(value, arena);
    while (json_next_element(value, &place, &item))
        walk(&item, arena);
    while (json_next_member(value, &place, &name, &item)) {
        struct span text;
        must(json_string(&name, arena, &text) && json_member(value, text, &found));
        must(found.text.data == item.text.data && found.text.size == item.text.size);
        walk(&item, arena);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span given = {.data = (const char *)data, .size = size};
    struct arena *arena = arena_new();
    struct bytes canonical = BYTES_EMPTY, again = BYTES_EMPTY;
    struct json value;
    struct error error;
    if (json_read(given, JSON_DEPTH_MAX, arena, &value, &error)) {
        walk(&value, arena);
        json_write_canonical(&value, &canonical);
        must(json_read(bytes_span(&canonical), JSON_DEPTH_MAX, arena, &value, &error));
        json_write_canonical(&value, &again);
        must(span_equal(bytes_span(&canonical), bytes_span(&again)));
    }
    bytes_free(&canonical);
    bytes_free(&again);
    arena_free(arena);
    return 0;
}
