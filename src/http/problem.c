#include "http/problem.h"

#include "http/status.h"

/* `,"name":"text"`; nothing for null data. */
static void member_write(const char *name, struct span text, struct bytes *out)
{
    if (!text.data)
        return;
    bytes_append_text(out, ",\"");
    bytes_append_text(out, name);
    bytes_append_text(out, "\":");
    bytes_append_json(out, text);
}

static void item_write(const struct problem_item *item, struct bytes *out)
{
    bytes_append_text(out, "{\"name\":");
    bytes_append_json(out, span_of(item->name));
    member_write("in", span_of(item->in), out);
    member_write("detail", span_of(item->detail), out);
    bytes_append_byte(out, '}');
}

static void items_write(const struct problem *problem, struct bytes *out)
{
    bytes_append_text(out, ",\"errors\":[");
    for (size_t i = 0; i < problem->item_count; i++) {
        if (i)
            bytes_append_byte(out, ',');
        item_write(&problem->items[i], out);
    }
    bytes_append_byte(out, ']');
}

void problem_write(const struct problem *problem, struct bytes *out)
{
    const char *title = problem->title ? problem->title : status_reason(problem->status);
    bytes_append_text(out, "{\"type\":");
    bytes_append_json(out, span_of(problem->type ? problem->type : "about:blank"));
    member_write("title", span_of(title), out);
    bytes_append_text(out, ",\"status\":");
    bytes_append_number(out, problem->status);
    member_write("detail", span_of(problem->detail), out);
    member_write("instance", problem->instance, out);
    member_write("details", span_of(problem->details), out);
    member_write("hint", span_of(problem->hint), out);
    if (problem->item_count)
        items_write(problem, out);
    bytes_append_byte(out, '}');
}
