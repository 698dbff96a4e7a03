#include "route/route.h"

#include "base/bytes.h"
#include "base/utf8.h"
#include "route/annotation.h"
#include "route/bind.h"
#include "route/place.h"
#include "route/sql_scan.h"
#include "route/statement_kind.h"

const char *const route_method_names[METHOD_COUNT] = {
    [METHOD_GET] = "GET",     [METHOD_POST] = "POST",     [METHOD_PUT] = "PUT",
    [METHOD_PATCH] = "PATCH", [METHOD_DELETE] = "DELETE",
};

const char *const route_result_names[] = {
    [RESULT_ROWS] = "rows", [RESULT_ROW] = "row",   [RESULT_VALUE] = "value",
    [RESULT_JSON] = "json", [RESULT_NONE] = "none",
};

/* The lines before the statement, as they are read. */
struct header {
    struct draft *draft;
    size_t at;
    struct place place;
    unsigned seen;
    unsigned line_of[ANNOTATIONS_MAX];
    bool open; /* a comment has no end: there can be no statement */
    struct bytes description;
};

/* What a documentation line says: one blank after the dashes is layout, others are indentation. */
static struct span documentation_text(struct span line)
{
    if (line.size && line.data[0] == ' ')
        line = span_from(line, 1);
    while (line.size && sql_is_space(line.data[line.size - 1]))
        line.size--;
    return line;
}

static void documentation_add(struct header *header, struct span line)
{
    struct span text = documentation_text(line);
    if (header->description.size)
        bytes_append_byte(&header->description, '\n');
    else if (!text.size)
        return;
    bytes_append_span(&header->description, text);
}

/* A comment line: documentation, or an annotation when an '@' and a letter begin it. */
static void header_line(struct header *header)
{
    struct span text = header->draft->text;
    size_t end = sql_scan_line_comment(text, header->at);
    struct span line = {.data = text.data + header->at + 2, .size = end - header->at - 2};
    struct span trimmed = span_trim(line);
    if (trimmed.size > 1 && trimmed.data[0] == '@' && sql_is_word_start(trimmed.data[1])) {
        place_advance(&header->place, text, header->at);
        header->draft->line = header->place.line;
        annotation_read(header->draft, trimmed, &header->seen, header->line_of);
    } else {
        documentation_add(header, line);
    }
    header->at = end;
}

static void header_block(struct header *header)
{
    struct span text = header->draft->text;
    size_t end = sql_scan_block_comment(text, header->at);
    if (end == SCAN_OPEN) {
        draft_fault(header->draft, span_from(text, header->at), "the comment /* has no end */");
        end = text.size;
        header->open = true;
    }
    header->at = end;
}

/* Reads up to where the statement begins. */
static void header_read(struct header *header)
{
    struct span text = header->draft->text;
    while (header->at < text.size) {
        struct span rest = span_from(text, header->at);
        if (sql_is_space(rest.data[0]))
            header->at++;
        else if (span_starts(rest, "--"))
            header_line(header);
        else if (span_starts(rest, "/*"))
            header_block(header);
        else
            return;
    }
}

static bool description_set(struct header *header)
{
    struct route *route = header->draft->route;
    struct bytes *bytes = &header->description;
    while (bytes->size && bytes->data[bytes->size - 1] == '\n')
        bytes->size--;
    route->description = arena_span(header->draft->arena, bytes_span(bytes));
    if (bytes->failed || !route->description.data)
        return draft_no_memory(header->draft);
    route->summary = span_trim(span_first(route->description, span_find(route->description, '\n')));
    return true;
}

/* Tells where the first byte is that no route file may have. */
static bool bytes_check(struct draft *draft)
{
    struct span rest = draft->text;
    while (rest.size) {
        size_t length = rest.data[0] ? utf8_character(rest) : 0;
        if (!length) {
            draft_fault(draft, rest, "%s; route files are UTF-8 text",
                        rest.data[0] ? "a byte that is not UTF-8" : "a NUL byte");
            return false;
        }
        rest = span_from(rest, length);
    }
    return true;
}

/* Exactly one of the two: an SQL statement, or @kv. */
static void body_check(struct draft *draft)
{
    struct route *route = draft->route;
    if (!route->statement.sql.size && !draft->kv)
        draft_fault(draft, (struct span){0}, "no statement follows the annotations");
    if (route->statement.sql.size && draft->kv)
        draft_fault(draft, span_from(draft->text, route->statement.file_offset),
                    "a @kv route has no statement");
}

static bool name_set(struct draft *draft)
{
    struct route *route = draft->route;
    route->name = arena_format(draft->arena, "%s %.*s", route_method_names[route->method],
                               SPAN_PRINTF(route->path));
    return route->name || draft_no_memory(draft);
}

/* What only the whole file shows. */
static bool draft_finish(struct header *header, bool statement_good)
{
    struct draft *draft = header->draft;
    annotations_check(draft, header->seen, header->line_of);
    draft->line = 1;
    if (!(header->seen & 1u))
        draft_fault(draft, (struct span){0},
                    "no @http line, which every route file needs, as in \"-- @http GET "
                    "/users/{id}\"");
    if (statement_good && !header->open)
        body_check(draft);
    bool known = draft->method_known && draft->path.count;
    return !known || (name_set(draft) && (!statement_good || route_bind(draft)));
}

/* A read has one statement, a write may have several: the last one's rows are the answer. */
static bool statements_read(struct draft *draft, size_t start)
{
    struct route *route = draft->route;
    struct statement *all;
    size_t count;
    if (route->method == METHOD_GET)
        return statement_parse(draft->file, draft->text, start, draft->arena, draft->faults,
                               &route->statement);
    if (!statement_parse_all(draft->file, draft->text, start, draft->arena, draft->faults, &all,
                             &count))
        return false;
    if (count == 0)
        return true;
    route->statement = all[count - 1];
    route->before = all;
    route->before_count = count - 1;
    return true;
}

static void draft_read(struct draft *draft)
{
    struct header header = {.draft = draft, .at = place_mark(draft->text), .place = PLACE_START};
    header_read(&header);
    bool described = description_set(&header);
    bytes_free(&header.description);
    if (!described)
        return;
    if (!draft_finish(&header, statements_read(draft, header.at)))
        draft_no_memory(draft);
}

static void declared_release(struct draft *draft)
{
    for (struct declared *declared = draft->declared; declared; declared = declared->next)
        param_release(&declared->param);
}

struct route *route_parse(const char *file, struct span text, struct arena *arena,
                          struct fault_list *faults)
{
    struct route *route = arena_alloc(arena, sizeof *route);
    struct draft draft = {
        .file = file,
        .text = text,
        .arena = arena,
        .faults = faults,
        .route = route,
        .line = 1,
        .place = PLACE_START,
    };
    size_t before = faults->count;
    draft.declared_end = &draft.declared;
    draft.references_end = &draft.references;
    if (!route) {
        draft_no_memory(&draft);
        return NULL;
    }
    *route = (struct route){.file = file, .text = text, .cache = {.l1 = true, .compress = true}};
    if (bytes_check(&draft))
        draft_read(&draft);
    if (faults->count == before && !faults->failed)
        return route;
    declared_release(&draft);
    return NULL;
}

bool route_reads(const struct route *route, struct fault_list *faults)
{
    struct span change = {0};
    unsigned line, column;
    if (route->method == METHOD_GET)
        change = statement_change(route->statement.sql);
    if (change.size && faults) {
        statement_locate(&route->statement, route->text, 1, &line, &column);
        fault_add(faults, route->file, line, column,
                  "%.*s in a GET, which only reads: what changes data is for POST, PUT, PATCH and "
                  "DELETE",
                  SPAN_PRINTF(change));
    }
    return !change.size;
}

int route_param_find(const struct route *route, struct span name)
{
    for (size_t i = 0; i < route->param_count; i++)
        if (span_is(name, route->params[i].name))
            return (int)i;
    return -1;
}

void route_release(struct route *route)
{
    for (size_t i = 0; route && i < route->param_count; i++)
        param_release(&route->params[i]);
}
