/*
 * Any bytes as a value of any type, of a query and of a JSON body: a problem in valid UTF-8, or a
 * canonical text that is its own canonical text.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "route/param.h"

static void must(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void json_check(const struct param *param, struct span given, struct arena *arena)
{
    struct json json;
    struct error error;
    struct value value;
    const char *problem = NULL;
    if (!json_read(given, JSON_DEPTH_MAX, arena, &json, &error))
        return;
    if (!param_read_json(param, param->type, &json, arena, &value, &problem))
        must(problem && utf8_valid(span_of(problem)));
    else if (value.state == VALUE_TEXT)
        must(utf8_valid(value.text) && value.text.data[value.text.size] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    enum param_type type = (enum param_type)(data[0] % TYPE_COUNT);
    bool array = data[0] & 0x80;
    struct span given = {.data = (const char *)data + 1, .size = size - 1};
    struct param param = {.name = "x", .type = type, .array = array, .maxlen = -1};
    struct arena *arena = arena_new();
    struct value value, again;
    const char *problem = NULL;
    if (param_read(&param, type, array, given, arena, &value, &problem)) {
        must(utf8_valid(value.text) && value.text.data[value.text.size] == '\0');
        must(param_read(&param, type, array, value.text, arena, &again, &problem));
        must(span_equal(value.text, again.text));
    } else {
        must(problem && utf8_valid(span_of(problem)));
    }
    json_check(&param, given, arena);
    arena_free(arena);
    return 0;
}
