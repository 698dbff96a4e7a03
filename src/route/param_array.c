#include "route/param.h"

#include "route/param_rules.h"

/* The array literal being written: PostgreSQL's own output form, so equal arrays are equal texts.
 */
struct writer {
    const struct param *param;
    enum param_type type;
    struct arena *arena;
    struct bytes text;
    size_t count;
    const char *problem;
};

static bool needs_quotes(struct span text)
{
    if (text.size == 0 || span_is_nocase(text, "NULL"))
        return true;
    for (size_t i = 0; i < text.size; i++)
        if (strchr("\"\\{}, \t\n\r\v\f", text.data[i]))
            return true;
    return false;
}

static void quoted_append(struct bytes *bytes, struct span text)
{
    bytes_append_byte(bytes, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\')
            bytes_append_byte(bytes, '\\');
        bytes_append_byte(bytes, text.data[i]);
    }
    bytes_append_byte(bytes, '"');
}

static void element_begin(struct writer *writer)
{
    bytes_append_byte(&writer->text, writer->count++ ? ',' : '{');
}

static void null_write(struct writer *writer)
{
    element_begin(writer);
    bytes_append_text(&writer->text, "NULL");
}

static bool element_write(struct writer *writer, struct span given)
{
    struct span text;
    if (!param_read_scalar(writer->param, writer->type, given, writer->arena, &text,
                           &writer->problem))
        return false;
    element_begin(writer);
    if (needs_quotes(text))
        quoted_append(&writer->text, text);
    else
        bytes_append_span(&writer->text, text);
    return true;
}

static bool literal_fail(struct writer *writer, struct span given)
{
    const char *quoted = problem_quote(given, writer->arena);
    writer->problem =
        quoted ? arena_format(writer->arena,
                              "must be a list of one dimension ({a,b}, or given several times), "
                              "not %s",
                              quoted)
               : NULL;
    return false;
}

static bool is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static struct span blanks_trim(struct span text)
{
    while (text.size && is_blank(text.data[0]))
        text = span_from(text, 1);
    while (text.size && is_blank(text.data[text.size - 1]))
        text.size--;
    return text;
}

/*
 * Takes one element off *rest, unescaped into `element`: "quoted", or bare up to ',' or the end.
 * A backslash escapes any byte in both.
 */
static bool element_take(struct span *rest, struct bytes *element, bool *ret_bare)
{
    bool quoted = rest->size && rest->data[0] == '"';
    size_t at = quoted;
    bytes_clear(element);
    for (; at < rest->size && rest->data[at] != (quoted ? '"' : ','); at++) {
        if (!quoted && strchr("\"{}", rest->data[at]))
            return false;
        if (rest->data[at] == '\\' && ++at == rest->size)
            return false;
        bytes_append_byte(element, rest->data[at]);
    }
    if (quoted && at == rest->size)
        return false;
    *rest = span_from(*rest, at + quoted);
    *ret_bare = !quoted;
    return true;
}

static bool literal_element(struct writer *writer, struct bytes *element, bool bare)
{
    struct span text = bytes_span(element);
    if (bare)
        text = blanks_trim(text);
    if (bare && span_is_nocase(text, "NULL")) {
        null_write(writer);
        return true;
    }
    return element_write(writer, text);
}

/* `given` is "{…}". */
static bool literal_write(struct writer *writer, struct span given)
{
    struct bytes element CLEANUP(bytes_free) = BYTES_EMPTY;
    struct span rest = blanks_trim((struct span){.data = given.data + 1, .size = given.size - 2});
    bool more = rest.size > 0, bare = false;
    while (more) {
        rest = blanks_trim(rest);
        bool taken = element_take(&rest, &element, &bare);
        if (element.failed)
            return false;
        if (!taken || (bare && element.size == 0))
            return literal_fail(writer, given);
        rest = blanks_trim(rest);
        more = rest.size > 0;
        if (more && rest.data[0] != ',')
            return literal_fail(writer, given);
        if (!literal_element(writer, &element, bare))
            return false;
        rest = more ? span_from(rest, 1) : rest;
    }
    return true;
}

static bool writer_finish(struct writer *writer, bool written, struct value *ret_value,
                          const char **ret_problem)
{
    if (written)
        bytes_append_text(&writer->text, writer->count ? "}" : "{}");
    struct span text = {0};
    if (written && !writer->text.failed)
        text = arena_span(writer->arena, bytes_span(&writer->text));
    bytes_free(&writer->text);
    if (!text.data) {
        *ret_problem = written ? NULL : writer->problem;
        return false;
    }
    *ret_value = (struct value){.state = VALUE_TEXT, .text = text};
    return true;
}

bool param_read_elements(const struct param *param, enum param_type type, const struct span *given,
                         size_t count, struct arena *arena, struct value *ret_value,
                         const char **ret_problem)
{
    struct writer writer = {.param = param, .type = type, .arena = arena};
    bool written = true;
    for (size_t i = 0; i < count && written; i++)
        written = element_write(&writer, given[i]);
    return writer_finish(&writer, written, ret_value, ret_problem);
}

static bool json_element_write(struct writer *writer, const struct json *element)
{
    struct span text;
    if (element->kind == JSON_NULL) {
        null_write(writer);
        return true;
    }
    return json_text(writer->param, writer->type, element, writer->arena, &text,
                     &writer->problem) &&
           element_write(writer, text);
}

bool param_read_json_array(const struct param *param, enum param_type type,
                           const struct json *given, struct arena *arena, struct value *ret_value,
                           const char **ret_problem)
{
    struct writer writer = {.param = param, .type = type, .arena = arena};
    struct json_place place = {0};
    struct json element;
    bool written = true;
    while (written && json_next_element(given, &place, &element))
        written = json_element_write(&writer, &element);
    return writer_finish(&writer, written, ret_value, ret_problem);
}

bool param_read_array(const struct param *param, enum param_type type, const struct span *given,
                      size_t count, struct arena *arena, struct value *ret_value,
                      const char **ret_problem)
{
    bool literal = count == 1 && given->size >= 2 && given->data[0] == '{' &&
                   given->data[given->size - 1] == '}';
    if (!literal)
        return param_read_elements(param, type, given, count, arena, ret_value, ret_problem);
    struct writer writer = {.param = param, .type = type, .arena = arena};
    bool written = literal_write(&writer, *given);
    return writer_finish(&writer, written, ret_value, ret_problem);
}
