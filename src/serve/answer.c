#include "serve/answer.h"

#include "serve/page.h"

static struct value *values_of(const struct statement *statement, const struct value *by_param,
                               struct arena *arena)
{
    struct value *values = arena_array(arena, statement->parameter_count, sizeof *values);
    for (unsigned i = 0; values && i < statement->parameter_count; i++)
        values[i] = by_param[statement->param_of[i]];
    return values;
}

struct value *answer_values(const struct route *route, const struct value *by_param,
                            struct arena *arena)
{
    return values_of(&route->statement, by_param, arena);
}

int64_t answer_timeout(const struct route *route, int64_t fallback)
{
    return route->timeout ? route->timeout : fallback;
}

/* The values of $1, $2, … as they are bound: null for NULL. Null: memory. */
static const char **texts_make(const struct value *values, unsigned count, struct arena *arena)
{
    const char **texts = arena_array(arena, count, sizeof *texts);
    for (unsigned i = 0; texts && i < count; i++)
        if (values[i].state == VALUE_TEXT)
            texts[i] = values[i].text.data;
    return texts;
}

bool answer_statement(const struct route *route, const struct learned *learned,
                      const struct value *values, int64_t timeout, struct arena *arena,
                      struct db_statement *ret_statement)
{
    unsigned count = route->statement.parameter_count;
    const char **texts = texts_make(values, count, arena);
    if (!texts)
        return false;
    *ret_statement = (struct db_statement){.id = learned->id,
                                           .sql = learned->sql,
                                           .types = learned->types,
                                           .values = texts,
                                           .parameter_count = (int)count,
                                           .timeout = timeout};
    return page_statement(route, learned, values, arena, ret_statement);
}

struct db_statement *answer_write(const struct route *route, const struct learned *learned,
                                  const struct value *by_param, int64_t timeout,
                                  struct arena *arena)
{
    struct db_statement *statements =
        arena_array(arena, route->before_count + 1, sizeof *statements);
    for (size_t i = 0; statements && i <= route->before_count; i++) {
        bool last = i == route->before_count;
        const struct statement *statement = last ? &route->statement : &route->before[i];
        const struct learned_before *before = &learned->write.before[i];
        unsigned count = statement->parameter_count;
        const struct value *values = values_of(statement, by_param, arena);
        const char **texts = values ? texts_make(values, count, arena) : NULL;
        if (!texts)
            return NULL;
        statements[i] = (struct db_statement){.id = last ? learned->id : before->id,
                                              .sql = last ? learned->sql : before->sql,
                                              .types = last ? learned->types : before->types,
                                              .values = texts,
                                              .parameter_count = (int)count,
                                              .timeout = timeout};
    }
    return statements;
}

void answer_plain(const struct route *route, struct db_statement *statements)
{
    for (size_t i = 0; i <= route->before_count; i++)
        statements[i].plain = true;
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
