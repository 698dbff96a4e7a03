#include "route/annotation.h"
#include "route/sql_scan.h"

/* @depends lines a route may have. */
#define LINES_MAX 100

#define FORM                                                                                       \
    "must be table.column = :param or table.column = column, and may go on with \"and column = "   \
    "…\" and \"for column, column\""

/* One line as it is taken apart. */
struct parsing {
    struct draft *draft;
    struct span text; /* the whole line */
    struct span rest; /* what is not read yet; begins with no blank */
    struct route_depend depend;
};

static bool malformed(const struct parsing *parsing)
{
    draft_fault(parsing->draft, parsing->text.size ? parsing->text : (struct span){0},
                "@depends: \"%.*s\" " FORM, SPAN_PRINTF(parsing->text));
    return false;
}

/* Takes the first `size` bytes, and the blanks behind them. */
static struct span take(struct parsing *parsing, size_t size)
{
    struct span taken = span_first(parsing->rest, size);
    parsing->rest = span_trim(span_from(parsing->rest, size));
    return taken;
}

static bool take_byte(struct parsing *parsing, char byte)
{
    bool there = sql_byte(parsing->rest, 0) == byte;
    if (there)
        take(parsing, 1);
    return there;
}

/* In letters of either case, as SQL has its words. */
static bool take_word(struct parsing *parsing, const char *word)
{
    if (!sql_is_word_start(sql_byte(parsing->rest, 0)))
        return false;
    size_t end = sql_scan_word(parsing->rest, 0);
    bool there = span_is_nocase(span_first(parsing->rest, end), word);
    if (there)
        take(parsing, end);
    return there;
}

/* The end of an identifier, plain or in double quotes; `at` itself when there is none. */
static size_t identifier_end(struct span text, size_t at)
{
    if (sql_byte(text, at) == '"') {
        size_t end = sql_scan_quoted(text, at);
        return end == SCAN_OPEN || end == at + 2 ? at : end;
    }
    return sql_is_word_start(sql_byte(text, at)) ? sql_scan_word(text, at) : at;
}

/* Takes "column", "table.column" or "schema.table.column"; the table is empty where none is. */
static bool take_column(struct parsing *parsing, struct span *ret_table, struct span *ret_column)
{
    struct span text = parsing->rest;
    size_t begin = 0, end = identifier_end(text, 0), parts = 1;
    while (end > begin && sql_byte(text, end) == '.') {
        begin = end + 1;
        end = identifier_end(text, begin);
        parts++;
    }
    if (end == begin || parts > 3)
        return false;
    *ret_table = span_first(text, begin ? begin - 1 : 0);
    *ret_column = span_from(span_first(text, end), begin);
    take(parsing, end);
    return true;
}

/* A further column: of the line's table, which need not be written again. */
static bool take_own_column(struct parsing *parsing, struct span *ret_column)
{
    struct span table, from = parsing->rest;
    if (!take_column(parsing, &table, ret_column))
        return malformed(parsing);
    if (!table.size || span_equal(table, parsing->depend.table))
        return true;
    draft_fault(parsing->draft, from,
                "@depends: a line is for one table, so \"%.*s\" must be a column of %.*s",
                SPAN_PRINTF(*ret_column), SPAN_PRINTF(parsing->depend.table));
    return false;
}

/* The end of a parameter's name, which a claim's goes on with dots. */
static size_t parameter_end(struct span name)
{
    size_t end = 0;
    if (!sql_is_word_start(sql_byte(name, 0)))
        return 0;
    while (end < name.size && !sql_is_space(name.data[end]))
        end++;
    return end;
}

static bool take_value(struct parsing *parsing, struct route_depend_term *term)
{
    if (!take_byte(parsing, '='))
        return malformed(parsing);
    term->by_param = sql_byte(parsing->rest, 0) == ':';
    struct span name = span_from(parsing->rest, term->by_param);
    size_t end = term->by_param ? parameter_end(name) : identifier_end(name, 0);
    if (!end)
        return malformed(parsing);
    term->value = span_first(name, end);
    take(parsing, end + term->by_param);
    if (term->by_param)
        draft_refer(parsing->draft, term->value, false);
    return true;
}

static bool take_first(struct parsing *parsing)
{
    struct route_depend *depend = &parsing->depend;
    struct route_depend_term *term = &depend->terms[depend->term_count++];
    if (!take_column(parsing, &depend->table, &term->column) || !depend->table.size)
        return malformed(parsing);
    return take_value(parsing, term);
}

static bool take_term(struct parsing *parsing)
{
    struct route_depend *depend = &parsing->depend;
    if (depend->term_count == ROUTE_DEPEND_TERMS) {
        draft_fault(parsing->draft, parsing->rest, "@depends: a line narrows by at most %d columns",
                    ROUTE_DEPEND_TERMS);
        return false;
    }
    struct route_depend_term *term = &depend->terms[depend->term_count++];
    return take_own_column(parsing, &term->column) && take_value(parsing, term);
}

static bool take_columns(struct parsing *parsing)
{
    struct route_depend *depend = &parsing->depend;
    depend->columns = arena_array(parsing->draft->arena, span_parts(parsing->rest, ',') + 1,
                                  sizeof *depend->columns);
    if (!depend->columns)
        return draft_no_memory(parsing->draft);
    do
        if (!take_own_column(parsing, &depend->columns[depend->column_count++]))
            return false;
    while (take_byte(parsing, ','));
    return true;
}

static bool take_line(struct parsing *parsing)
{
    if (!take_first(parsing))
        return false;
    while (take_word(parsing, "and"))
        if (!take_term(parsing))
            return false;
    if (take_word(parsing, "for") && !take_columns(parsing))
        return false;
    return !parsing->rest.size || malformed(parsing);
}

void annotate_depends(struct draft *draft, struct span rest)
{
    struct parsing parsing = {
        .draft = draft, .text = words_rest(rest), .depend = {.line = draft->line}};
    struct route *route = draft->route;
    parsing.rest = parsing.text;
    if (route->depend_count == LINES_MAX) {
        draft_fault(draft, parsing.text, "a route has at most %d @depends", LINES_MAX);
        return;
    }
    if (!take_line(&parsing))
        return;
    struct route_depend *grown = arena_array(draft->arena, route->depend_count + 1, sizeof *grown);
    if (!grown) {
        draft_no_memory(draft);
        return;
    }
    if (route->depend_count)
        memcpy(grown, route->depends, route->depend_count * sizeof *grown);
    grown[route->depend_count++] = parsing.depend;
    route->depends = grown;
}
