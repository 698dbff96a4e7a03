#include "command/slips.h"

#include <stdio.h>

#include "route/place.h"
#include "route/statement_kind.h"

/* Behind the place that a part of the route's text has. */
static void print_place(const struct route *route, struct span part)
{
    struct place place = place_of(route->text, (size_t)(part.data - route->text.data));
    printf("%s:%u:%u: note: ", route->file, place.line, place.column);
}

/* It may be another server's, so it is no fault. */
static void print_location(const struct route_table *table, const struct route *route)
{
    if (!route->location.size || route_table_read(table, route->location))
        return;
    print_place(route, route->location);
    printf("@location %.*s: no GET here has this path\n", SPAN_PRINTF(route->location));
}

/* A client has a row's version from the read at the same path alone. */
static void print_version(const struct route_table *table, const struct route *route)
{
    if (!route->version.column.size || route->method == METHOD_GET)
        return;
    const struct route *read = route_table_read(table, route->path);
    if (read && read->version.column.size)
        return;
    print_place(route, route->version.column);
    printf("@version: no GET here has this path and an @version of its own, so no client can name "
           "a version in If-Match\n");
}

/* Who brings "?order=" from elsewhere means a column; a bound value is none. */
static void print_order(const struct route *route)
{
    const struct statement *statement = &route->statement;
    unsigned number = statement_order_parameter(statement->sql);
    if (!number || number > statement->parameter_count)
        return;
    const char *name = route->params[statement->param_of[number - 1]].name;
    printf("%s:%u: note: ORDER BY :%s is one value for all rows and orders nothing; tell what it "
           "stands for, as in CASE WHEN :%s = 'title' THEN title END\n",
           route->file, statement->line, name, name);
}

/* "WHERE id = id" is true of every row. */
static void print_unused(const struct route *route, const struct param *param)
{
    if (param->place == PLACE_PATH && !param->used)
        printf("%s:%u: note: {%s} of the path is used nowhere, so all its values are answered "
               "alike; write :%s where the statement means it%s\n",
               route->file, route->line, param->name, param->name,
               route_quotes(route, param->name) ? ROUTE_QUOTED : "");
}

static void print_claim(const struct route *route, const struct param *param)
{
    if (param->place == PLACE_CLAIM && route->auth.kind == AUTH_NONE)
        printf("%s:%u: note: :%s is NULL whoever asks, for without @auth no token is looked at; "
               "add \"-- @auth required\", or optional\n",
               route->file, param->line, param->name);
}

void slips_print(const struct route_table *table, const struct route *route, bool whole)
{
    for (size_t i = 0; i < route->param_count; i++) {
        print_unused(route, &route->params[i]);
        print_claim(route, &route->params[i]);
    }
    print_order(route);
    if (whole) {
        print_location(table, route);
        print_version(table, route);
    }
}
