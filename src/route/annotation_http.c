#include "base/duration.h"
#include "route/annotation.h"

static bool method_read(struct draft *draft, struct span word)
{
    int method = word_index(word, route_method_names, METHOD_COUNT);
    if (method >= 0) {
        draft->route->method = (enum route_method)method;
        draft->method_known = true;
        return true;
    }
    bool own = span_is(word, "HEAD") || span_is(word, "OPTIONS");
    draft_fault(
        draft, word, "@http: \"%.*s\" is no method here; allowed: GET, POST, PUT, PATCH, DELETE%s",
        SPAN_PRINTF(word), own ? " (HEAD comes with GET, OPTIONS by itself)" : ", in capitals");
    return false;
}

static void path_read(struct draft *draft, struct span word)
{
    struct span at = word;
    const char *problem = NULL;
    if (!path_parse(word, draft->arena, &draft->path, &at, &problem)) {
        if (problem)
            draft_fault(draft, at, "@http: \"%.*s\": %s", SPAN_PRINTF(word), problem);
        else
            draft_no_memory(draft);
        return;
    }
    draft->route->path = word;
    if (span_is(draft->path.segments[0].text, "_larder") && !draft->path.segments[0].parameter)
        draft_fault(draft, word, "@http: paths below /_larder are Larder's own");
}

void annotate_http(struct draft *draft, struct span rest)
{
    struct word method, path;
    draft->route->line = draft->line;
    if (!word_next(&rest, &method) || !word_next(&rest, &path)) {
        draft_fault(draft, (struct span){0},
                    "@http needs a method and a path, as in \"@http GET /users/{id}\"");
        return;
    }
    method_read(draft, method.text);
    path_read(draft, path.text);
    draft_end(draft, rest);
}

/* The row of `words` that `rest` is, or -1 after a fault. */
static int choice_read(struct draft *draft, struct span rest, const char *const *words,
                       size_t count, const char *allowed)
{
    struct span word = words_rest(rest);
    int index = word_index(word, words, count);
    if (index < 0)
        draft_fault(draft, word.size ? word : (struct span){0}, "%s: \"%.*s\" must be %s",
                    draft->word, SPAN_PRINTF(word), allowed);
    return index;
}

void annotate_result(struct draft *draft, struct span rest)
{
    int result = choice_read(draft, rest, route_result_names, RESULT_NONE + 1,
                             "rows, row, value, json or none");
    if (result >= 0)
        draft->route->result = (enum route_result)result;
}

void annotate_timeout(struct draft *draft, struct span rest)
{
    struct span word = words_rest(rest);
    struct error error;
    int64_t timeout;
    if (!duration_parse(word, &timeout, &error))
        draft_fault(draft, word.size ? word : (struct span){0}, "@timeout: %s", error.text);
    else if (timeout < MILLISECOND || timeout > 86400 * SECOND)
        draft_fault(draft, word, "@timeout: \"%.*s\" must be from 1ms to 1d", SPAN_PRINTF(word));
    else
        draft->route->timeout = timeout;
}
