/*
 * What a write tells beside its statement.
 */
#include "route/annotation.h"

/* Reads that a write may make anew. */
#define REFRESHES_MAX 16

static void refresh_add(struct draft *draft, struct span path)
{
    struct route *route = draft->route;
    if (!route->refreshes)
        route->refreshes = arena_array(draft->arena, REFRESHES_MAX, sizeof *route->refreshes);
    if (!route->refreshes)
        draft_no_memory(draft);
    else if (route->refresh_count == REFRESHES_MAX)
        draft_fault(draft, path, "a route has at most %d @refreshes", REFRESHES_MAX);
    else
        route->refreshes[route->refresh_count++] = (struct route_refresh){path, draft->line};
}

void annotate_refreshes(struct draft *draft, struct span rest)
{
    struct word method, path;
    if (!word_next(&rest, &method) || !word_next(&rest, &path) || !span_is(method.text, "GET")) {
        draft_fault(draft, (struct span){0},
                    "@refreshes needs GET and a path, as in \"@refreshes GET /users/{id}\"");
        return;
    }
    struct path parsed;
    struct span at;
    const char *problem = NULL;
    if (path_parse(path.text, draft->arena, &parsed, &at, &problem)) {
        refresh_add(draft, path.text);
        draft_end(draft, rest);
    } else if (problem)
        draft_fault(draft, at, "@refreshes: \"%.*s\": %s", SPAN_PRINTF(at), problem);
    else
        draft_no_memory(draft);
}

void annotate_location(struct draft *draft, struct span rest)
{
    struct span text = words_rest(rest), at = text;
    struct path path;
    const char *problem = NULL;
    if (path_parse(text, draft->arena, &path, &at, &problem)) {
        draft->route->location = text;
        return;
    }
    if (problem)
        draft_fault(draft, at.size ? at : (struct span){0}, "@location: \"%.*s\": %s",
                    SPAN_PRINTF(at), problem);
    else
        draft_no_memory(draft);
}

void annotate_version(struct draft *draft, struct span rest)
{
    struct word column = {.text = {0}}, required = {.text = {0}};
    bool good = word_next(&rest, &column) && draft_is_identifier(column.text);
    if (good && word_next(&rest, &required))
        good = span_is(required.text, "required");
    if (!good)
        draft_fault(draft, column.text,
                    "@version needs a column's name, and perhaps \"required\" behind it");
    else
        draft_end(draft, rest);
    if (good)
        draft->route->version = (struct route_version){column.text, required.text.size > 0};
}
