#include "serve/answer.h"

struct value *answer_values(const struct route *route, const struct value *by_param,
                            struct arena *arena)
{
    const struct statement *statement = &route->statement;
    struct value *values = arena_array(arena, statement->parameter_count, sizeof *values);
    for (unsigned i = 0; values && i < statement->parameter_count; i++)
        values[i] = by_param[statement->param_of[i]];
    return values;
}

int64_t answer_timeout(const struct route *route, int64_t fallback)
{
    return route->timeout ? route->timeout : fallback;
}

bool answer_statement(const struct route *route, const struct learned *learned,
                      const struct value *values, int64_t timeout, struct arena *arena,
                      struct db_statement *ret_statement)
{
    unsigned count = route->statement.parameter_count;
    const char **texts = arena_array(arena, count, sizeof *texts);
    if (!texts)
        return false;
    for (unsigned i = 0; i < count; i++)
        if (values[i].state == VALUE_TEXT)
            texts[i] = values[i].text.data;
    *ret_statement = (struct db_statement){.id = learned->id,
                                           .sql = learned->sql,
                                           .types = learned->types,
                                           .values = texts,
                                           .parameter_count = (int)count,
                                           .timeout = timeout};
    return true;
}

struct span answer_body(const struct db_result *result)
{
    return db_result_value(result, 0, 0);
}

enum answer_kind answer_kind(const struct route *route, const struct db_result *result)
{
    int rows = db_result_rows(result);
    if (route->result == RESULT_NONE)
        return ANSWER_EMPTY;
    if (rows == 0 || !answer_body(result).data)
        return ANSWER_MISSING;
    return rows > 1 ? ANSWER_TOO_MANY : ANSWER_BODY;
}

struct problem answer_missing(const struct route *route, struct span path)
{
    return (struct problem){.status = 404,
                            .detail = "There is nothing here with these parameters.",
                            .instance = route->cache.negative ? (struct span){0} : path};
}
