#include "route/bind.h"

#include "route/annotation.h"
#include "route/sql_scan.h"
#include "route/statement_kind.h"

/* The params as they are found; an array with room for the most there can be. */
struct binder {
    struct draft *draft;
    struct route *route;
    bool has_body; /* the method's undeclared names are fields of the body */
};

static struct declared *declared_find(const struct draft *draft, struct span name)
{
    for (struct declared *declared = draft->declared; declared; declared = declared->next)
        if (span_is(name, declared->param.name))
            return declared;
    return NULL;
}

/* The size and the cursor of @page. */
#define PAGE_PARAMS 2

static size_t params_most(const struct draft *draft)
{
    size_t most = draft->path.count + draft->route->statement.parameter_count + PAGE_PARAMS;
    for (size_t i = 0; i < draft->route->before_count; i++)
        most += draft->route->before[i].parameter_count;
    for (const struct declared *declared = draft->declared; declared; declared = declared->next)
        most++;
    for (const struct reference *reference = draft->references; reference;
         reference = reference->next)
        most++;
    return most;
}

static void param_add(struct binder *binder, const struct param *param)
{
    binder->route->params[binder->route->param_count++] = *param;
}

static bool param_make(struct binder *binder, struct span name, unsigned line,
                       enum param_place place, enum param_type type)
{
    /* PostgreSQL, which tells other routes' types, is not asked about a @kv route. */
    const bool kv = binder->draft->kv != NULL;
    struct param param = {
        .name = arena_text(binder->draft->arena, name),
        .line = line,
        .place = place,
        .type = kv && type == TYPE_UNKNOWN ? TYPE_TEXT : type,
        .required = place == PLACE_PATH || (kv && place == PLACE_BODY),
        .maxlen = -1,
    };
    if (!param.name)
        return draft_no_memory(binder->draft);
    param_add(binder, &param);
    return true;
}

static void path_declared(struct binder *binder, struct declared *declared)
{
    struct draft *draft = binder->draft;
    if (declared->place_given && declared->param.place != PLACE_PATH)
        draft_fault(draft, declared->at, "@param %s: in=%s, but {%s} stands in the path",
                    declared->param.name, param_place_names[declared->param.place],
                    declared->param.name);
    if (!declared->param.required)
        draft_fault(draft, declared->at,
                    "@param %s: default= is of no use: a parameter in the path is always there",
                    declared->param.name);
    declared->param.place = PLACE_PATH;
    declared->param.required = true;
    declared->used = true;
    param_add(binder, &declared->param);
}

static bool segments_bind(struct binder *binder)
{
    const struct path *path = &binder->draft->path;
    struct route *route = binder->route;
    for (size_t i = 0; i < path->count; i++) {
        struct route_segment *segment = &route->segments[route->segment_count++];
        *segment = (struct route_segment){.text = path->segments[i].text, .param = -1};
        if (!path->segments[i].parameter)
            continue;
        struct span name = path->segments[i].text;
        struct declared *declared = declared_find(binder->draft, name);
        *segment = (struct route_segment){.param = (int)route->param_count};
        if (declared)
            path_declared(binder, declared);
        else if (!param_make(binder, name, route->line, PLACE_PATH, TYPE_UNKNOWN))
            return false;
    }
    return true;
}

static void declared_place(struct binder *binder, struct declared *declared)
{
    struct draft *draft = binder->draft;
    struct param *param = &declared->param;
    if (!declared->place_given)
        param->place = binder->has_body ? PLACE_BODY : PLACE_QUERY;
    if (param->place == PLACE_PATH)
        draft_fault(draft, declared->at, "@param %s: in=path, but {%s} doesn't stand in the path",
                    param->name, param->name);
    if (param->place == PLACE_BODY && binder->route->method == METHOD_GET)
        draft_fault(draft, declared->at, "@param %s: in=body, but a GET has no body", param->name);
    if (param->place == PLACE_HEADER && draft->nginx_at.data)
        draft_fault(draft, declared->at,
                    "@param %s: in=header, but @nginx keeps one answer for a URL", param->name);
}

static void declared_bind(struct binder *binder)
{
    for (struct declared *declared = binder->draft->declared; declared; declared = declared->next) {
        if (route_param_find(binder->route, span_of(declared->param.name)) >= 0)
            continue;
        declared_place(binder, declared);
        param_add(binder, &declared->param);
    }
}

/* Names with a meaning of their own. */
static const struct implied {
    const char *name; /* ends in '.': what begins so */
    enum param_place place;
    enum param_type type;
} implied[] = {
    {"now", PLACE_CLOCK, TYPE_TIMESTAMPTZ},   {"today", PLACE_CLOCK, TYPE_DATE},
    {"body", PLACE_WHOLE_BODY, TYPE_JSON},    {"auth.", PLACE_CLAIM, TYPE_UNKNOWN},
    {"version", PLACE_VERSION, TYPE_UNKNOWN},
};

/* A write that names its version's column; elsewhere :version is a name like any other. */
static bool checks_version(const struct route *route)
{
    return route->version.column.size && route->method != METHOD_GET;
}

static const struct implied *implied_find(const struct route *route, struct span name)
{
    for (size_t i = 0; i < ARRAY_COUNT(implied); i++) {
        if (implied[i].place == PLACE_VERSION && !checks_version(route))
            continue;
        bool prefix = implied[i].name[strlen(implied[i].name) - 1] == '.';
        if (prefix ? span_starts(name, implied[i].name) : span_is(name, implied[i].name))
            return &implied[i];
    }
    return NULL;
}

static const char *implied_problem(const struct binder *binder, const struct implied *row)
{
    if (row->place == PLACE_WHOLE_BODY && binder->route->method == METHOD_GET)
        return "a GET has no body";
    if (row->place == PLACE_CLAIM && binder->draft->nginx_at.data)
        return "@nginx keeps one answer for everybody";
    return NULL;
}

static const char *source_problem(const struct binder *binder, struct span name, bool source)
{
    if (span_is(name, "auth"))
        return "a claim is named behind it, as in auth.sub";
    if (!path_is_name(name))
        return "a parameter's name has small letters, digits and '_', and no digit first";
    if (!binder->has_body || !source)
        return "it has no source: declare it with @param, or put {name} in the path";
    return NULL;
}

/*
 * Makes the param of a name that nothing declares. True with a fault when it can't be; the name is
 * then made all the same, so that it is told once.
 */
static bool undeclared_bind(struct binder *binder, struct span name, const char *sign,
                            unsigned line, bool source)
{
    const struct implied *row = implied_find(binder->route, name);
    const char *problem = row ? implied_problem(binder, row) : source_problem(binder, name, source);
    if (problem)
        draft_fault(binder->draft, name, "%s%.*s: %s", sign, SPAN_PRINTF(name), problem);
    return param_make(binder, name, line, row ? row->place : PLACE_BODY,
                      row ? row->type : TYPE_UNKNOWN);
}

static void name_used(struct binder *binder, struct span name)
{
    struct declared *declared = declared_find(binder->draft, name);
    int param = route_param_find(binder->route, name);
    if (declared)
        declared->used = true;
    if (param >= 0)
        binder->route->params[param].used = true;
}

static bool placeholders_bind(struct binder *binder, const struct statement *statement)
{
    for (size_t i = 0; i < statement->placeholder_count; i++) {
        const struct placeholder *placeholder = &statement->placeholders[i];
        int param = route_param_find(binder->route, placeholder->name);
        if (param < 0 && !undeclared_bind(binder, placeholder->name, ":", placeholder->line, true))
            return false;
        if (param < 0)
            param = (int)binder->route->param_count - 1;
        name_used(binder, placeholder->name);
        statement->param_of[placeholder->number - 1] = (unsigned)param;
    }
    return true;
}

static bool statements_bind(struct binder *binder)
{
    struct route *route = binder->route;
    for (size_t i = 0; i < route->before_count; i++)
        if (!placeholders_bind(binder, &route->before[i]))
            return false;
    return placeholders_bind(binder, &route->statement);
}

static bool references_bind(struct binder *binder)
{
    for (const struct reference *reference = binder->draft->references; reference;
         reference = reference->next) {
        if (route_param_find(binder->route, reference->name) < 0 &&
            !undeclared_bind(binder, reference->name, "", binder->route->line, reference->source))
            return false;
        name_used(binder, reference->name);
    }
    return true;
}

static bool names_at(struct span sql, size_t at, struct span name)
{
    struct span rest = span_from(sql, at);
    return rest.size > name.size && rest.data[0] == ':' &&
           span_equal(span_first(span_from(rest, 1), name.size), name) &&
           !sql_is_word(sql_byte(rest, 1 + name.size));
}

/* Does the statement have :name all the same? Then in quotes, or in a comment. */
static bool statement_quotes(const struct statement *statement, struct span name)
{
    for (size_t at = 0; at < statement->sql.size; at++)
        if (names_at(statement->sql, at, name))
            return true;
    return false;
}

bool route_quotes(const struct route *route, const char *name)
{
    for (size_t i = 0; i < route->before_count; i++)
        if (statement_quotes(&route->before[i], span_of(name)))
            return true;
    return statement_quotes(&route->statement, span_of(name));
}

static void uses_check(struct binder *binder)
{
    for (const struct declared *declared = binder->draft->declared; declared;
         declared = declared->next)
        if (!declared->used)
            draft_fault(binder->draft, declared->at,
                        "@param %s is used nowhere: not in the path, the statement or another "
                        "annotation%s",
                        declared->param.name,
                        route_quotes(binder->route, declared->param.name) ? ROUTE_QUOTED : "");
}

static bool statement_uses(const struct route *route, enum param_place place)
{
    const struct statement *statement = &route->statement;
    for (unsigned i = 0; i < statement->parameter_count; i++)
        if (route->params[statement->param_of[i]].place == place)
            return true;
    return false;
}

/* May it change something even where the last statement finds no row? A WITH clause may. */
static bool does_more(const struct route *route)
{
    return route->before_count || statement_main(route->statement.sql);
}

/* What a write needs so that a version that has passed leaves no trace. */
static void version_check(struct binder *binder)
{
    const struct route *route = binder->route;
    struct span at = route->version.column;
    if (!at.size)
        return;
    if (route->method == METHOD_GET) {
        if (route->result != RESULT_ROW)
            draft_fault(binder->draft, at, "@version: a GET needs \"@result row\" beside it");
    } else if (!statement_uses(route, PLACE_VERSION)) {
        draft_fault(binder->draft, at,
                    "@version: the %sstatement must compare it, as in \"AND %.*s = "
                    "coalesce(:version, %.*s)\"",
                    route->before_count ? "last " : "", SPAN_PRINTF(at), SPAN_PRINTF(at));
    } else if (does_more(route) && (route->result == RESULT_ROWS || route->result == RESULT_NONE))
        draft_fault(binder->draft, at,
                    "@version: with %s it needs \"@result row\", so that a missing row undoes "
                    "all of it",
                    route->before_count ? "several statements" : "a WITH clause");
}

bool route_bind(struct draft *draft)
{
    struct route *route = draft->route;
    struct binder binder = {
        .draft = draft,
        .route = route,
        .has_body = route->method == METHOD_POST || route->method == METHOD_PUT ||
                    route->method == METHOD_PATCH,
    };
    route->segments = arena_array(draft->arena, draft->path.count, sizeof *route->segments);
    route->params = arena_array(draft->arena, params_most(draft), sizeof *route->params);
    if (!route->segments || !route->params)
        return draft_no_memory(draft);
    if (!segments_bind(&binder))
        return false;
    declared_bind(&binder);
    page_params(draft);
    if (!statements_bind(&binder) || !page_settle(draft))
        return false;
    limits_settle(draft);
    if (!references_bind(&binder))
        return false;
    uses_check(&binder);
    version_check(&binder);
    return true;
}
