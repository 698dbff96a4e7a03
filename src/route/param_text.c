#include "base/json.h"
#include "base/utf8.h"
#include "route/param_rules.h"

static enum reading copy_return(struct span text, struct arena *arena, struct span *ret_text)
{
    *ret_text = arena_span(arena, text);
    return ret_text->data ? READING_OK : READING_NO_MEMORY;
}

enum reading read_text(struct span given, struct arena *arena, struct span *ret_text,
                       const char **ret_hint)
{
    bool nul = span_find(given, '\0') < given.size;
    if (nul || !utf8_valid(given)) {
        *ret_hint = nul ? "a NUL is not allowed" : "not UTF-8";
        return READING_WRONG;
    }
    return copy_return(given, arena, ret_text);
}

enum reading read_boolean(struct span given, struct arena *arena, struct span *ret_text,
                          const char **ret_hint)
{
    static const struct {
        const char *word, *value;
    } words[] = {
        {"true", "true"},   {"t", "true"},  {"yes", "true"}, {"on", "true"},   {"1", "true"},
        {"false", "false"}, {"f", "false"}, {"no", "false"}, {"off", "false"}, {"0", "false"},
    };
    (void)ret_hint;
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (span_is_nocase(given, words[i].word))
            return copy_return(span_of(words[i].value), arena, ret_text);
    return READING_WRONG;
}

static bool is_hyphen_place(size_t at)
{
    return at == 8 || at == 13 || at == 18 || at == 23;
}

static char hex_lower(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte;
    byte = (char)(byte | 0x20);
    return byte >= 'a' && byte <= 'f' ? byte : '\0';
}

enum reading read_uuid(struct span given, struct arena *arena, struct span *ret_text,
                       const char **ret_hint)
{
    char uuid[36];
    size_t from = 0;
    (void)ret_hint;
    if (given.size != 32 && given.size != sizeof uuid)
        return READING_WRONG;
    for (size_t at = 0; at < sizeof uuid; at++) {
        bool hyphen = is_hyphen_place(at);
        bool given_hyphen = hyphen && given.size == sizeof uuid;
        uuid[at] = '-';
        if (given_hyphen && given.data[from] != '-')
            return READING_WRONG;
        if (!hyphen && !(uuid[at] = hex_lower(given.data[from])))
            return READING_WRONG;
        from += !hyphen || given_hyphen;
    }
    return copy_return((struct span){.data = uuid, .size = sizeof uuid}, arena, ret_text);
}

enum reading read_json(struct span given, struct arena *arena, struct span *ret_text,
                       const char **ret_hint)
{
    struct error error;
    struct json value;
    if (!json_read(given, JSON_DEPTH_MAX, arena, &value, &error)) {
        *ret_hint = error.kind == ERROR_INVALID ? arena_format(arena, "%s", error.text) : NULL;
        return *ret_hint ? READING_WRONG : READING_NO_MEMORY;
    }
    return copy_return(value.text, arena, ret_text);
}
