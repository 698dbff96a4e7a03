#include "route/annotation.h"

#include "http/cache_control.h"

#define GET (1u << METHOD_GET)
#define ANY ((1u << METHOD_COUNT) - 1)
#define WRITES (ANY & ~GET)

const struct annotation annotations[] = {
    {"@http", annotate_http, "METHOD /path/{name}", ANY, false},
    {"@param", annotate_param,
     "name [type] [default=] [min=] [max=] [maxlen=] [enum=a,b] [pattern=] "
     "[in=path|query|body|header]",
     ANY, true},
    {"@result", annotate_result, "rows|row|value|json|none", ANY, false},
    {"@cache", annotate_cache, "ttl= [stale=] [error=] [negative=] [l1=on|off] [compress=on|off]",
     GET, false},
    {"@control", annotate_control, "directive, …", ANY, false},
    {"@nginx", annotate_nginx, "ttl=", GET, false},
    {"@timeout", annotate_timeout, "2s", ANY, false},
    {"@depends", annotate_depends, "table.column = :param | = column", GET, true},
    {"@tags", annotate_tags, "name name:{param} …", GET, true},
    {"@invalidates", annotate_invalidates, "tag tag:{param} …", WRITES, true},
    {"@refreshes", annotate_refreshes, "GET /path", WRITES, true},
    {"@auth", annotate_auth, "none|optional|required [role=] [rls]", ANY, false},
    {"@limit", annotate_limit, "100/min by=ip|user|<parameter> [burst=]", ANY, true},
    {"@async", annotate_async, "[prefer] [retries=] [timeout=] [dedupe=key-{name}]", WRITES, false},
    {"@behind", annotate_behind, "batch= every= [bound=] [full=refuse|now]", WRITES, false},
    {"@stream", annotate_stream,
     "csv|ndjson|json[,…] [filename=] [mark=on|off] [guard=on|off] [compress=on|off]", GET, false},
    {"@kv", annotate_kv, "set|get|delete key= [value=] [ttl=]", ANY, false},
    {"@location", annotate_location, "/path/{name}", WRITES, false},
    {"@version", annotate_version, "column [required]", ANY, false},
    {"@page", annotate_page, "by=\"column [desc], …\"", GET, false},
};

const size_t annotation_count = ARRAY_COUNT(annotations);

_Static_assert(ARRAY_COUNT(annotations) <= ANNOTATIONS_MAX, "a bit each");

#define WORD_MAX 24

/* How many letters must be put in, left out or changed (Levenshtein); `a` is cut to WORD_MAX. */
static size_t distance(struct span a, const char *b)
{
    size_t row[WORD_MAX + 1];
    size_t width = a.size < WORD_MAX ? a.size : WORD_MAX;
    for (size_t i = 0; i <= width; i++)
        row[i] = i;
    for (; *b; b++) {
        size_t corner = row[0]++;
        for (size_t i = 1; i <= width; i++) {
            size_t change = corner + (a.data[i - 1] != *b);
            size_t left = row[i - 1] + 1, above = row[i] + 1;
            corner = row[i];
            row[i] = change < left ? change : left;
            row[i] = row[i] < above ? row[i] : above;
        }
    }
    return row[width];
}

static const struct annotation *nearest(struct span word)
{
    const struct annotation *best = NULL;
    size_t least = 3;
    for (size_t i = 0; i < annotation_count; i++) {
        size_t far = distance(word, annotations[i].word);
        if (far >= least)
            continue;
        least = far;
        best = &annotations[i];
    }
    return best;
}

static const char *all_words(struct draft *draft)
{
    const char *list = "";
    for (size_t i = 0; i < annotation_count && list; i++)
        list = arena_format(draft->arena, "%s%s%s", list, i ? " " : "", annotations[i].word);
    if (!list)
        draft_no_memory(draft);
    return list ? list : "";
}

static void unknown_fault(struct draft *draft, struct span word)
{
    const struct annotation *near = nearest(word);
    if (near)
        draft_fault(draft, word, "unknown annotation %.*s; did you mean %s?", SPAN_PRINTF(word),
                    near->word);
    else
        draft_fault(draft, word, "unknown annotation %.*s; known are %s", SPAN_PRINTF(word),
                    all_words(draft));
}

void annotation_read(struct draft *draft, struct span text, unsigned *seen,
                     unsigned line_of[static ANNOTATIONS_MAX])
{
    size_t end = 0;
    while (end < text.size && text.data[end] != ' ' && text.data[end] != '\t')
        end++;
    struct span word = span_first(text, end);
    size_t row = 0;
    while (row < annotation_count && !span_is(word, annotations[row].word))
        row++;
    if (row == annotation_count) {
        unknown_fault(draft, word);
        return;
    }
    bool again = *seen & 1u << row;
    if (again && !annotations[row].repeatable) {
        draft_fault(draft, word, "%s stands on line %u already, and once is all",
                    annotations[row].word, line_of[row]);
        return;
    }
    *seen |= 1u << row;
    line_of[row] = again ? line_of[row] : draft->line;
    draft->word = annotations[row].word;
    annotations[row].read(draft, span_from(text, end));
}

static const char *methods_list(struct draft *draft, unsigned methods)
{
    const char *list = "";
    for (unsigned i = 0; i < METHOD_COUNT && list; i++)
        if (methods & 1u << i)
            list = arena_format(draft->arena, "%s%s%s", list, *list ? ", " : "",
                                route_method_names[i]);
    if (!list)
        draft_no_memory(draft);
    return list ? list : "";
}

static void methods_check(struct draft *draft, unsigned seen,
                          const unsigned line_of[static ANNOTATIONS_MAX])
{
    for (size_t i = 0; i < annotation_count; i++) {
        bool fits = annotations[i].methods & 1u << draft->route->method;
        if (fits || !(seen & 1u << i))
            continue;
        draft->line = line_of[i];
        draft_fault(draft, (struct span){0}, "%s doesn't fit a %s; it is for %s",
                    annotations[i].word, route_method_names[draft->route->method],
                    methods_list(draft, annotations[i].methods));
    }
}

static void nginx_check(struct draft *draft)
{
    struct cache_control control = cache_control_parse(draft->route->control);
    if (!draft->nginx_at.data)
        return;
    if (control.private || control.no_store)
        draft_fault(draft, draft->nginx_at,
                    "@nginx keeps one answer for everybody, but @control says %s",
                    control.private ? "private" : "no-store");
    if (draft->signed_in)
        draft_fault(draft, draft->nginx_at,
                    "@nginx keeps one answer for everybody, but @auth asks who it is");
}

/* s-maxage alone would share what @auth keeps apart (RFC 9111, section 3.5). */
static void auth_check(struct draft *draft)
{
    struct cache_control control = cache_control_parse(draft->route->control);
    if (draft->signed_in && control.s_maxage != CACHE_CONTROL_NONE && !control.public)
        draft_fault(draft, draft->route->control,
                    "@control: s-maxage lets others keep the answer, but @auth asks who it is; say "
                    "public where it is for everybody");
}

/* One write is made later in one way. */
static void later_check(struct draft *draft, unsigned seen,
                        const unsigned line_of[static ANNOTATIONS_MAX])
{
    unsigned line = 0;
    for (size_t i = 0; i < annotation_count; i++) {
        bool later =
            annotations[i].read == annotate_async || annotations[i].read == annotate_behind;
        if (!later || !(seen & 1u << i))
            continue;
        if (line) {
            draft->line = line_of[i];
            draft_fault(draft, (struct span){0},
                        "a route has @async or @behind, and line %u has the other", line);
        }
        line = line_of[i];
    }
}

/* What stands beside @kv; all else is about a statement or what is kept of its answer. */
static bool goes_with_kv(const char *word)
{
    static const char *const words[] = {"@http", "@param", "@auth", "@limit", "@kv"};
    return word_index(span_of(word), words, ARRAY_COUNT(words)) >= 0;
}

static void kv_check(struct draft *draft, unsigned seen,
                     const unsigned line_of[static ANNOTATIONS_MAX])
{
    bool reads = draft->kv && strcmp(draft->kv, "get") == 0;
    for (size_t i = 0; draft->kv && i < annotation_count; i++) {
        if (!(seen & 1u << i) || goes_with_kv(annotations[i].word))
            continue;
        draft->line = line_of[i];
        draft_fault(draft, (struct span){0},
                    "%s is of no use beside @kv; @param, @auth and @limit are",
                    annotations[i].word);
    }
    draft->line = draft->kv_line;
    if (draft->kv && draft->route->auth.rls)
        draft_fault(draft, (struct span){0},
                    "@auth rls is of no use beside @kv: no statement runs as the role");
    if (!draft->kv || !*draft->kv || reads == (draft->route->method == METHOD_GET))
        return;
    draft_fault(draft, (struct span){0},
                "@kv %s doesn't fit a %s; get goes with GET, the others don't", draft->kv,
                route_method_names[draft->route->method]);
}

/* Who is answered before the write is made can't be told of a version. */
static void behind_check(struct draft *draft, unsigned seen,
                         const unsigned line_of[static ANNOTATIONS_MAX])
{
    for (size_t i = 0; draft->route->behind.present && i < annotation_count; i++) {
        if (!(seen & 1u << i) || strcmp(annotations[i].word, "@version") != 0)
            continue;
        draft->line = line_of[i];
        draft_fault(draft, (struct span){0},
                    "@version doesn't go with @behind, whose writes are made after the answer");
    }
}

/* What is about an answer that is had whole, or kept. */
static void stream_check(struct draft *draft, unsigned seen,
                         const unsigned line_of[static ANNOTATIONS_MAX])
{
    static const char *const words[] = {"@result", "@cache",   "@nginx", "@depends",
                                        "@tags",   "@version", "@page"};
    for (size_t i = 0; draft->route->stream.format_count && i < annotation_count; i++) {
        if (!(seen & 1u << i) ||
            word_index(span_of(annotations[i].word), words, ARRAY_COUNT(words)) < 0)
            continue;
        draft->line = line_of[i];
        draft_fault(draft, (struct span){0},
                    "%s is of no use beside @stream: a download is neither had whole nor kept",
                    annotations[i].word);
    }
}

void annotations_check(struct draft *draft, unsigned seen,
                       const unsigned line_of[static ANNOTATIONS_MAX])
{
    if (draft->method_known)
        methods_check(draft, seen, line_of);
    if (draft->method_known)
        kv_check(draft, seen, line_of);
    later_check(draft, seen, line_of);
    behind_check(draft, seen, line_of);
    stream_check(draft, seen, line_of);
    nginx_check(draft);
    auth_check(draft);
}
