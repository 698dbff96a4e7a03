#include "route/words.h"

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

static bool is_quote(char byte)
{
    return byte == '"' || byte == '\'';
}

/* The end of the quoted part at `at`, or text.size + 1 when it has none. */
static size_t quoted_end(struct span text, size_t at)
{
    struct span inside = span_from(text, at + 1);
    return at + 1 + span_find(inside, text.data[at]) + 1;
}

/* Where the value at the start of `text` ends: at a `stop` outside of quotes. */
static size_t value_end(struct span text, bool items, bool *ret_open)
{
    size_t at = 0;
    while (at < text.size && !is_blank(text.data[at]) && !(items && text.data[at] == ',')) {
        bool opens = is_quote(text.data[at]) && (at == 0 || text.data[at - 1] == ',');
        at = opens ? quoted_end(text, at) : at + 1;
    }
    *ret_open = at > text.size;
    return *ret_open ? text.size : at;
}

struct span words_rest(struct span rest)
{
    return span_trim(rest);
}

bool word_next(struct span *rest, struct word *ret_word)
{
    struct span line = span_trim(*rest);
    if (line.size == 0)
        return false;
    struct word word = {.text = {0}};
    size_t end = 0;
    while (end < line.size && !is_blank(line.data[end]) && line.data[end] != '=')
        end++;
    if (end > 0 && end < line.size && line.data[end] == '=') {
        word.name = span_first(line, end);
        struct span behind = span_from(line, end + 1);
        word.value = span_first(behind, value_end(behind, false, &word.open));
        end += 1 + word.value.size;
    } else if (end == 0) {
        end = value_end(line, false, &word.open);
    }
    word.text = span_first(line, end);
    *rest = span_from(line, end);
    *ret_word = word;
    return true;
}

bool value_unquote(struct span value, struct span *ret_text)
{
    *ret_text = value;
    if (value.size == 0 || !is_quote(value.data[0]))
        return true;
    if (quoted_end(value, 0) != value.size)
        return false;
    *ret_text = (struct span){.data = value.data + 1, .size = value.size - 2};
    return true;
}

bool value_item(struct span *rest, struct span *ret_text)
{
    bool open;
    size_t end = value_end(*rest, true, &open);
    struct span item = span_first(*rest, end);
    *rest = end < rest->size ? span_from(*rest, end + 1) : (struct span){0};
    return !open && value_unquote(item, ret_text);
}
