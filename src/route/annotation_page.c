/*
 * Pages that follow a key: @page, and the two parameters of the request that it brings.
 */
#include "route/annotation.h"
#include "route/statement_kind.h"

/* "created_at" or "created_at desc". */
static bool column_read(struct span text, struct route_page_column *ret_column)
{
    struct span rest = span_trim(text);
    struct span name = span_split(&rest, ' ');
    struct span order = rest.data ? span_trim(rest) : (struct span){0};
    bool descending = span_is_nocase(order, "desc");
    if (!draft_is_identifier(name) || (order.size && !descending && !span_is_nocase(order, "asc")))
        return false;
    *ret_column = (struct route_page_column){.name = name, .descending = descending};
    return true;
}

static bool column_is_new(const struct route_page *page, struct span name)
{
    for (size_t i = 0; i < page->column_count; i++)
        if (span_equal(page->columns[i].name, name))
            return false;
    return true;
}

static bool read_columns(struct draft *draft, const struct word *word, struct span value,
                         void *field)
{
    struct route_page *page = field;
    *page = (struct route_page){0};
    for (struct span rest = value; rest.data && page->column_count < ROUTE_PAGE_MAX;) {
        struct route_page_column column;
        if (!column_read(span_split(&rest, ','), &column) || !column_is_new(page, column.name))
            break;
        page->columns[page->column_count++] = column;
        if (!rest.data)
            return true;
    }
    draft_fault(draft, word->value,
                "@page: by=%.*s must be up to %d different columns with commas between them, as in "
                "by=created_at,id or by=\"created_at desc, id desc\"",
                SPAN_PRINTF(word->value), ROUTE_PAGE_MAX);
    page->column_count = 0;
    return false;
}

void annotate_page(struct draft *draft, struct span rest)
{
    const struct attribute rows[] = {{.name = "by", .read = read_columns, .required = true}};
    if (!attributes_read(draft, rest, rows, ARRAY_COUNT(rows), &draft->route->page))
        draft->route->page.column_count = 0;
}

/* The size of a page as the file's own @param has it. */
static const char *size_problem(const struct param *param)
{
    const bool whole =
        param->type == TYPE_SMALLINT || param->type == TYPE_INTEGER || param->type == TYPE_BIGINT;
    if (param->place != PLACE_QUERY)
        return "comes from the query";
    if (!whole || param->array)
        return "is a whole number, as in \"@param limit int default=20 min=1 max=100\"";
    if (param->default_null)
        return "can't be NULL";
    if (!param->min.data || !param->max.data || param->min.data[0] == '-' ||
        param->min.data[0] == '0')
        return "needs min= of at least 1 and max=, as in \"@param limit int default=20 min=1 "
               "max=100\"";
    return NULL;
}

static void declared_use(struct draft *draft, const char *name)
{
    for (struct declared *declared = draft->declared; declared; declared = declared->next)
        if (strcmp(declared->param.name, name) == 0)
            declared->used = true;
}

static const struct param own_size = {.name = "limit",
                                      .place = PLACE_QUERY,
                                      .type = TYPE_INTEGER,
                                      .default_text = {"20", 2},
                                      .min = {"1", 1},
                                      .max = {"100", 3},
                                      .maxlen = -1};

static const struct param own_cursor = {
    .name = "cursor", .place = PLACE_QUERY, .type = TYPE_TEXT, .default_null = true, .maxlen = -1};

static void param_add(struct route *route, const struct param *param)
{
    struct param *added = &route->params[route->param_count++];
    *added = *param;
    added->line = route->line;
}

void page_params(struct draft *draft)
{
    struct route *route = draft->route;
    struct span at = route->page.columns[0].name;
    int size = route_param_find(route, span_of(own_size.name));
    const char *problem = size < 0 ? NULL : size_problem(&route->params[size]);
    if (!route->page.column_count)
        return;
    if (problem)
        draft_fault(draft, at, "@page: the parameter limit, the size of a page, %s", problem);
    if (route_param_find(route, span_of(own_cursor.name)) >= 0)
        draft_fault(draft, at, "@page: the parameter cursor is its own; give yours another name");
    declared_use(draft, own_size.name);
    declared_use(draft, own_cursor.name);
    if (size < 0)
        param_add(route, &own_size);
    param_add(route, &own_cursor);
}

/* What the statement has no say in beside @page. */
static void statement_check(struct draft *draft)
{
    static const char *const words[] = {"order", "limit", "offset", "fetch"};
    const struct statement *statement = &draft->route->statement;
    struct span at = draft->route->page.columns[0].name;
    for (size_t i = 0; i < statement->placeholder_count; i++) {
        struct span name = statement->placeholders[i].name;
        if (span_is(name, own_size.name) || span_is(name, own_cursor.name))
            draft_fault(draft, name,
                        ":%.*s is @page's own, which puts it around the statement: leave it out",
                        SPAN_PRINTF(name));
    }
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (statement_has_outermost(statement->sql, words[i]))
            draft_fault(draft, at,
                        "@page puts ORDER BY and LIMIT around the statement, which must give all "
                        "rows: leave its own %s out",
                        i ? words[i] : "order by");
}

/* Behind the statement's own $n: the size, and then the cursor. */
static bool places_add(struct draft *draft)
{
    struct route *route = draft->route;
    struct statement *statement = &route->statement;
    unsigned count = statement->parameter_count;
    unsigned *param_of = arena_array(draft->arena, count + 2, sizeof *param_of);
    if (!param_of)
        return draft_no_memory(draft);
    if (count)
        memcpy(param_of, statement->param_of, count * sizeof *param_of);
    param_of[count] = (unsigned)route_param_find(route, span_of(own_size.name));
    param_of[count + 1] = (unsigned)route_param_find(route, span_of(own_cursor.name));
    statement->param_of = param_of;
    statement->parameter_count = count + 2;
    route->page.size = count + 1;
    route->page.cursor = count + 2;
    return true;
}

bool page_settle(struct draft *draft)
{
    const struct route *route = draft->route;
    if (!route->page.column_count)
        return true;
    if (route->result != RESULT_ROWS)
        draft_fault(draft, route->page.columns[0].name, "@page fits \"@result rows\" alone");
    statement_check(draft);
    return places_add(draft);
}
