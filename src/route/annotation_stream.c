/*
 * Downloads: @stream.
 */
#include "route/annotation.h"

/* Content-Disposition's filename: nothing that needs escaping there, and no folder. */
static bool read_filename(struct draft *draft, const struct word *word, struct span value,
                          void *field)
{
    if (!attribute_text(draft, word, value, field))
        return false;
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] >= ' ' && value.data[i] <= '~' && !strchr("\"\\/", value.data[i]))
            continue;
        draft_fault(draft, word->value,
                    "@stream: filename=%.*s must be printable ASCII without quotes and slashes",
                    SPAN_PRINTF(word->value));
        return false;
    }
    return draft_refer_places(draft, value, false);
}

static const char *const format_words[FORMAT_COUNT] = {
    [FORMAT_CSV] = "csv", [FORMAT_NDJSON] = "ndjson", [FORMAT_JSON] = "json"};

static bool has_format(const struct route_stream *stream, enum route_format format)
{
    for (size_t i = 0; i < stream->format_count; i++)
        if (stream->formats[i] == format)
            return true;
    return false;
}

static bool format_add(struct draft *draft, struct span name)
{
    struct route_stream *stream = &draft->route->stream;
    int format = word_index(name, format_words, FORMAT_COUNT);
    bool again = format >= 0 && has_format(stream, (enum route_format)format);
    if (format >= 0 && !again) {
        stream->formats[stream->format_count++] = (enum route_format)format;
        return true;
    }
    if (again)
        draft_fault(draft, name, "@stream: %s stands there twice", format_words[format]);
    else
        draft_fault(draft, name,
                    "@stream: \"%.*s\" must be csv, ndjson or json, or several of them parted by "
                    "commas, as in csv,ndjson",
                    SPAN_PRINTF(name));
    return false;
}

static bool formats_read(struct draft *draft, struct span *rest)
{
    struct word word = {.text = {0}};
    if (!word_next(rest, &word)) {
        draft_fault(draft, (struct span){0}, "@stream needs csv, ndjson or json");
        return false;
    }
    struct span names = word.text;
    while (names.data)
        if (!format_add(draft, span_split(&names, ',')))
            return false;
    return true;
}

void annotate_stream(struct draft *draft, struct span rest)
{
    struct route *route = draft->route;
    const struct attribute rows[] = {
        {.name = "filename",
         .read = read_filename,
         .offset = offsetof(struct route, stream.filename)},
        {.name = "mark", .read = attribute_switch, .offset = offsetof(struct route, stream.mark)},
        {.name = "guard", .read = attribute_switch, .offset = offsetof(struct route, stream.guard)},
        {.name = "compress",
         .read = attribute_switch,
         .offset = offsetof(struct route, cache.compress)},
    };
    if (!formats_read(draft, &rest) ||
        !attributes_read(draft, rest, rows, ARRAY_COUNT(rows), route) ||
        has_format(&route->stream, FORMAT_CSV) || !(route->stream.mark || route->stream.guard))
        return;
    draft_fault(draft, (struct span){0}, "@stream: %s=on is for csv, which is not offered",
                route->stream.mark ? "mark" : "guard");
}
