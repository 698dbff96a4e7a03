#include "serve/write_failure.h"

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
};

/* A foreign key that a row taken away was referred to by: the same SQLSTATE as the other way. */
static const struct violation still_in_use = {"23503", 409,
                                              "What is to be deleted is still in use.",
                                              "is still in use", "together these are still in use"};

/* Does the statement that failed only take rows away? */
static bool deletes(const struct exchange *exchange, const struct db_failure *failure)
{
    const struct route *route = exchange->served->route;
    return statement_deletes(failure->statement < route->before_count
                                 ? route->before[failure->statement].sql
                                 : route->statement.sql);
}

static const struct violation *violation_of(const struct exchange *exchange,
                                            const struct db_failure *failure)
{
    for (size_t i = 0; i < ARRAY_COUNT(violations); i++) {
        if (strcmp(failure->sqlstate, violations[i].sqlstate) != 0)
            continue;
        bool reversed = strcmp(failure->sqlstate, still_in_use.sqlstate) == 0;
        return reversed && deletes(exchange, failure) ? &still_in_use : &violations[i];
    }
    return NULL;
}

/* A column that a parameter is called after is that field of the request. */
static struct problem_item item_of(const struct exchange *exchange, const char *column,
                                   const char *detail)
{
    const struct route *route = exchange->served->route;
    struct problem_item item = {.name = column, .detail = detail};
    for (size_t i = 0; i < route->param_count; i++)
        if (strcmp(route->params[i].name, column) == 0)
            item.in = param_place_names[route->params[i].place];
    return item;
}

/* The columns of what still refers to a row are none of the request's. */
static size_t items_of(const struct exchange *exchange, const struct violation *violation,
                       const struct db_failure *failure,
                       struct problem_item items[static DB_FAILURE_COLUMNS])
{
    size_t count = failure->column_count;
    if (violation == &still_in_use)
        return 0;
    for (size_t i = 0; i < count; i++)
        items[i] =
            item_of(exchange, failure->columns[i], count == 1 ? violation->one : violation->many);
    if (!count && failure->column[0])
        items[count++] = item_of(exchange, failure->column, violation->one);
    return count;
}

static void violation_answer(struct exchange *exchange, const struct violation *violation,
                             const struct db_failure *failure)
{
    struct problem_item items[DB_FAILURE_COLUMNS];
    size_t count = items_of(exchange, violation, failure, items);
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
    log_event(violation ? LOG_INFO : failure_level(exchange, row), "write",
              failure->sqlstate[0] ? "%s: %s (SQLSTATE %s)" : "%s: %s%s",
              exchange->served->route->name, failure->message, failure->sqlstate);
    if (violation)
        violation_answer(exchange, violation, failure);
    else if (failure->kind == DB_FAILURE_VALUE && exchange->served->route->param_count)
        failure_answer_value(exchange, row);
    else
        failure_answer(exchange, row);
}
