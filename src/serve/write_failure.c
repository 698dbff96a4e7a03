#include "serve/write_failure.h"

#include <stdio.h>

#include "base/log.h"
#include "db/shape.h"
#include "route/statement_kind.h"
#include "serve/failures.h"
#include "serve/write_answer.h"

/* A constraint's violation: what is said of the request, and of each field. */
static const struct violation {
    const char *sqlstate;
    unsigned status;
    const char *detail;
    const char *one, *many; /* of the constraint's only column, of each of several */
} violations[] = {
    {"23505", 409, "Something like this is stored already.", "this value is taken already",
     "these values together are taken already"},
    {"23P01", 409, "The change overlaps with what is stored already.",
     "overlaps with what is stored already", "together these overlap with what is stored already"},
    {"23503", 409, "The change names something that does not exist.",
     "names something that does not exist", "together these name something that does not exist"},
    {"23001", 409, "What is to be changed is still in use.", "is still in use",
     "together these are still in use"},
    {"23502", 422, "A value is missing.", "must have a value", "must have values"},
    {"23514", 422, "A value is not allowed.", "has a value that is not allowed",
     "together have values that are not allowed"},
    {"44000", 422, "The view that is written to takes only rows that it shows itself.", "", ""},
};

/* A foreign key that a row gone or changed was referred to by: the same SQLSTATE both ways. */
#define FOREIGN_KEY "23503"
static const struct violation deleted_in_use = {.status = 409,
                                                .detail = "What is to be deleted is still in use."};
static const struct violation changed_in_use = {.status = 409,
                                                .detail = "What is to be changed is still in use."};

/* Does the statement that failed only take rows away? */
static bool deletes(const struct exchange *exchange, const struct db_failure *failure)
{
    const struct route *route = exchange->served->route;
    return statement_deletes(failure->statement < route->before_count
                                 ? route->before[failure->statement].sql
                                 : route->statement.sql);
}

/* Are the columns that PostgreSQL speaks of the referring ones? */
static bool is_referring(const struct db_failure *failure)
{
    char columns[sizeof failure->key] = "";
    size_t size = 0;
    for (size_t i = 0; i < failure->column_count && size < sizeof columns; i++)
        size += (size_t)snprintf(columns + size, sizeof columns - size, "%s%s", i ? ", " : "",
                                 failure->columns[i]);
    return strcmp(columns, failure->key) == 0;
}

/* Where both have columns of one name, the table tells that the value still stands in. */
static bool is_in_use(const struct db_failure *failure)
{
    return failure->key[0] &&
           (!is_referring(failure) || (failure->key_within && !failure->refers_to_itself));
}

static const struct violation *violation_of(const struct exchange *exchange,
                                            const struct db_failure *failure)
{
    for (size_t i = 0; i < ARRAY_COUNT(violations); i++) {
        if (strcmp(failure->sqlstate, violations[i].sqlstate) != 0)
            continue;
        if (strcmp(failure->sqlstate, FOREIGN_KEY) != 0)
            return &violations[i];
        if (deletes(exchange, failure))
            return &deleted_in_use;
        return is_in_use(failure) ? &changed_in_use : &violations[i];
    }
    return NULL;
}

/* A column that a parameter is called after is that field of the request. */
static struct problem_item item_of(const struct exchange *exchange, const char *column,
                                   const char *detail)
{
    const struct route *route = exchange->served->route;
    struct problem_item item = {.name = column, .detail = detail};
    int i = route_param_find(route, span_of(column));
    if (i >= 0)
        item.in = param_place_names[route->params[i].place];
    return item;
}

/* The columns of what still refers to a row are none of the request's. */
static size_t items_of(const struct exchange *exchange, const struct violation *violation,
                       const struct db_failure *failure,
                       struct problem_item items[static DB_FAILURE_COLUMNS])
{
    size_t count = failure->column_count;
    if (!violation->one)
        return 0;
    for (size_t i = 0; i < count; i++)
        items[i] =
            item_of(exchange, failure->columns[i], count == 1 ? violation->one : violation->many);
    if (!count && failure->column[0])
        items[count++] = item_of(exchange, failure->column, violation->one);
    return count;
}

/* A CHECK of a domain's has no table: whose value it is can only be suspected. */
static bool is_of_domain(const struct exchange *exchange, const struct db_failure *failure)
{
    return !failure->table[0] && failure->constraint[0] && exchange->served->route->param_count;
}

static void violation_answer(struct exchange *exchange, const struct violation *violation,
                             const struct db_failure *failure)
{
    const struct failure_row row = {.status = violation->status, .detail = violation->detail};
    struct problem_item items[DB_FAILURE_COLUMNS];
    size_t count = items_of(exchange, violation, failure, items);
    if (!count && is_of_domain(exchange, failure))
        failure_answer_value(exchange, &row, failure);
    else
        exchange_problem_items(exchange, violation->status, violation->detail, items, count);
}

/* The rows that were wanted did not come, and the transaction undid what came before them. */
static bool is_missing(const struct db_failure *failure)
{
    return strcmp(failure->sqlstate, DB_SHAPE_NO_ROW_STATE) == 0 &&
           strstr(failure->message, DB_SHAPE_NO_ROW) != NULL;
}

/* What a failure means to a write, where it means something else to a read. */
static const struct failure_row *row_of(const struct db_failure *failure)
{
    static const struct failure_row standby = {.status = 503,
                                               .detail = "The database takes no changes now.",
                                               .retry = true,
                                               .level = LOG_ERROR};
    static const struct failure_row large = {.status = 422,
                                             .detail = "A value is larger than the database can "
                                                       "store.",
                                             .level = LOG_INFO};
    if (failure->kind == DB_FAILURE_TOO_LARGE)
        return &large;
    return failure->kind == DB_FAILURE_READ_ONLY ? &standby : failure_row_of(failure->kind);
}

void write_failure_answer(struct exchange *exchange, const struct db_failure *failure)
{
    const struct violation *violation = violation_of(exchange, failure);
    const struct failure_row *row = row_of(failure);
    if (is_missing(failure)) {
        write_answer_missing(exchange);
        return;
    }
    if (failure_answer_raised(exchange, "write", failure))
        return;
    log_event(violation ? LOG_INFO : failure_level(exchange, row), "write",
              failure->sqlstate[0] ? "%s: %s (SQLSTATE %s)" : "%s: %s%s",
              exchange->served->route->name, failure->message, failure->sqlstate);
    if (violation)
        violation_answer(exchange, violation, failure);
    else if (row->status == 422 && failure_has_suspects(exchange))
        failure_answer_value(exchange, row, failure);
    else
        failure_answer(exchange, row);
}
