#include "db/page.h"

#include <inttypes.h>
#include <stdio.h>

#include "route/statement_kind.h"

int page_result_column(const struct db_description *result, struct span name)
{
    for (int i = 0; i < result->column_count; i++)
        if (span_is(name, result->column_names[i]))
            return i;
    return -1;
}

static bool is_moment(uint32_t oid)
{
    bool array;
    enum param_type type = param_type_of_oid(oid, &array);
    return !array && (type == TYPE_DATE || type == TYPE_TIMESTAMP || type == TYPE_TIMESTAMPTZ);
}

static uint32_t column_type(const struct page_question *question, size_t index)
{
    struct span name = question->route->page.columns[index].name;
    return question->result
               ? question->result->column_types[page_result_column(question->result, name)]
               : 0;
}

/* The route's own types, then the key's. */
static uint32_t *types_make(const struct page_question *question, struct arena *arena)
{
    const struct route *route = question->route;
    size_t own = route->statement.parameter_count;
    uint32_t *types = arena_array(arena, own + route->page.column_count, sizeof *types);
    if (!types)
        return NULL;
    memcpy(types, question->types, own * sizeof *types);
    for (size_t i = 0; i < route->page.column_count; i++)
        types[own + i] = column_type(question, i);
    return types;
}

static bool sides_shape(const struct page_question *question, struct arena *arena,
                        struct learned_page *page)
{
    const struct route *route = question->route;
    struct db_page_column columns[ROUTE_PAGE_MAX];
    const struct db_page wanted = {.columns = columns,
                                   .column_count = route->page.column_count,
                                   .size = route->page.size,
                                   .key = route->statement.parameter_count + 1,
                                   .tags = question->tags,
                                   .tag_count = question->tag_count};
    for (size_t i = 0; i < route->page.column_count; i++)
        columns[i] = (struct db_page_column){.name = route->page.columns[i].name,
                                             .descending = route->page.columns[i].descending,
                                             .nullable = page->nullable[i],
                                             .moment = is_moment(column_type(question, i))};
    for (enum db_page_side side = 0; side < DB_PAGE_SIDES; side++) {
        page->sqls[side] =
            db_shape_wrap_page(&wanted, side, route->statement.sql, arena, &page->offsets[side]);
        if (!page->sqls[side])
            return false;
    }
    return true;
}

static bool page_make(const struct page_question *question, bool *nullable, struct arena *arena,
                      struct learned_page *ret_page)
{
    struct learned_page page = {.types = types_make(question, arena), .nullable = nullable};
    if (!page.types || !nullable || !sides_shape(question, arena, &page))
        return false;
    *ret_page = page;
    return true;
}

static bool *all_nullable(const struct route *route, struct arena *arena)
{
    bool *nullable = arena_array(arena, route->page.column_count, sizeof *nullable);
    for (size_t i = 0; nullable && i < route->page.column_count; i++)
        nullable[i] = true;
    return nullable;
}

bool page_shape(const struct page_question *question, struct arena *arena,
                struct learned_page *ret_page)
{
    return page_make(question, all_nullable(question->route, arena), arena, ret_page);
}

/* A view's columns never say NOT NULL, and a foreign table's are not held to it. */
static bool column_ask(struct db_connection *connection, const struct db_description *result,
                       int column, int64_t timeout, bool *ret_nullable, struct db_failure *failure)
{
    static const char sql[] =
        "SELECT 1 FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = "
        "a.attrelid WHERE c.oid = $1::oid AND a.attnum = $2::int2 AND a.attnotnull AND "
        "c.relkind IN ('r', 'p')";
    char table[16], number[16];
    const char *const values[] = {table, number};
    struct db_result *rows;
    snprintf(table, sizeof table, "%" PRIu32, result->column_tables[column]);
    snprintf(number, sizeof number, "%d", result->column_numbers[column]);
    if (!db_execute(connection, sql, values, 2, timeout, &rows, failure))
        return false;
    *ret_nullable = db_result_rows(rows) == 0;
    db_result_free(rows);
    return true;
}

bool page_ask(struct db_connection *connection, const struct page_question *question,
              int64_t timeout, struct arena *arena, struct learned_page *ret_page,
              struct db_failure *failure)
{
    const struct route *route = question->route;
    const struct db_description *result = question->result;
    bool *nullable = all_nullable(route, arena);
    bool kept = !statement_may_add_nulls(route->statement.sql);
    for (size_t i = 0; nullable && kept && i < route->page.column_count; i++) {
        int column = page_result_column(result, route->page.columns[i].name);
        if (result->column_tables[column] &&
            !column_ask(connection, result, column, timeout, &nullable[i], failure))
            return false;
    }
    return page_make(question, nullable, arena, ret_page)
               ? true
               : db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
}
