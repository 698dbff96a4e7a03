#include "db/learn.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define ASK_TIMEOUT (5 * INT64_C(1000000))

/* One route's asking: everything the small functions below share. */
struct asking {
    struct db_connection *connection;
    const struct route *route;
    struct arena *arena;
    struct fault_list *faults;
    struct learned *learned;
    struct db_failure *failure;
};

enum db_shape learn_shape(enum route_result result)
{
    static const enum db_shape shapes[] = {
        [RESULT_ROWS] = DB_SHAPE_ROWS,   [RESULT_ROW] = DB_SHAPE_ROW,
        [RESULT_VALUE] = DB_SHAPE_VALUE, [RESULT_JSON] = DB_SHAPE_JSON,
        [RESULT_NONE] = DB_SHAPE_NONE,
    };
    return shapes[result];
}

static uint32_t declared_oid(const struct param *param)
{
    const struct param_type_row *row = &param_types[param->type];
    return param->array ? row->array_oid : row->oid;
}

static const struct param *param_of(const struct route *route, unsigned index)
{
    return &route->params[route->statement.param_of[index]];
}

/* What differs in text or types has another id, so a connection can't run one for the other. */
static void identify(struct learned *learned, size_t type_count)
{
    static const struct hash_key key = {
        {UINT64_C(0x6c61726465722073), UINT64_C(0x746174656d656e74)}};
    const struct span types = {.data = (const char *)learned->types,
                               .size = type_count * sizeof *learned->types};
    uint64_t parts[] = {hash_of(&key, span_of(learned->sql)), hash_of(&key, types)};
    learned->id = hash_of(&key, (struct span){.data = (const char *)parts, .size = sizeof parts});
    learned->id += learned->id == 0;
}

struct learned *learn_unasked(const struct route *route, struct arena *arena)
{
    size_t count = route->statement.parameter_count;
    struct learned *learned = arena_alloc(arena, sizeof *learned);
    if (!learned)
        return NULL;
    learned->types = arena_array(arena, count, sizeof *learned->types);
    learned->params = arena_array(arena, route->param_count, sizeof *learned->params);
    learned->sql = db_shape_wrap(learn_shape(route->result), route->statement.sql, NULL, 0, arena,
                                 &learned->sql_offset);
    if (!learned->types || !learned->params || !learned->sql)
        return NULL;
    for (size_t i = 0; i < route->param_count; i++)
        learned->params[i] = route->params[i];
    for (unsigned i = 0; i < count; i++)
        learned->types[i] = declared_oid(param_of(route, i));
    identify(learned, count);
    return learned;
}

static bool failure_is_servers(const struct db_failure *failure)
{
    return failure->kind == DB_FAILURE_UNAVAILABLE || failure->kind == DB_FAILURE_TIMEOUT ||
           failure->kind == DB_FAILURE_MEMORY || !failure->sqlstate[0];
}

/* PostgreSQL's complaint at its place in the file; positions outside the statement have no place.
 */
static void fault_from(struct asking *asking, size_t offset)
{
    const struct route *route = asking->route;
    unsigned line = route->statement.line, column = 0;
    if (asking->failure->position > offset)
        statement_locate(&route->statement, route->text, asking->failure->position - offset, &line,
                         &column);
    fault_add(asking->faults, route->file, line, column, "PostgreSQL: %s (SQLSTATE %s)",
              asking->failure->message, asking->failure->sqlstate);
}

/* Asks for the OID of a type that has none in Larder's own table. */
static bool type_ask(struct asking *asking, const struct param *param, uint32_t *ret_oid)
{
    const char *name = arena_format(asking->arena, "%.*s%s", SPAN_PRINTF(param->type_name),
                                    param->array ? "[]" : "");
    const char *const values[] = {name};
    struct db_result *result;
    *ret_oid = 0;
    bool asked = name && db_execute(asking->connection, "SELECT to_regtype($1)::oid", values, 1,
                                    ASK_TIMEOUT, &result, asking->failure);
    if (!asked && name && !failure_is_servers(asking->failure)) {
        fault_add(asking->faults, asking->route->file, param->line, 0, "PostgreSQL: %s",
                  asking->failure->message);
        return true;
    }
    if (!asked)
        return false;
    struct span oid = db_result_value(result, 0, 0);
    if (oid.size)
        *ret_oid = (uint32_t)strtoul(oid.data, NULL, 10);
    else
        fault_add(asking->faults, asking->route->file, param->line, 0,
                  "PostgreSQL knows no type \"%s\"", name);
    db_result_free(result);
    return true;
}

static bool types_ask(struct asking *asking)
{
    for (unsigned i = 0; i < asking->route->statement.parameter_count; i++) {
        const struct param *param = param_of(asking->route, i);
        if (param->type == TYPE_OTHER && param->type_name.size &&
            !type_ask(asking, param, &asking->learned->types[i]))
            return false;
    }
    return true;
}

static bool describe(struct asking *asking, const char *sql, size_t offset,
                     struct db_description *ret_description, bool *ret_described)
{
    *ret_described = db_describe(asking->connection, sql, asking->learned->types,
                                 (int)asking->route->statement.parameter_count, ASK_TIMEOUT,
                                 ret_description, asking->failure);
    if (*ret_described)
        return true;
    if (failure_is_servers(asking->failure))
        return false;
    fault_from(asking, offset);
    return true;
}

static void check_one_column(struct asking *asking, const struct db_description *description)
{
    if (description->column_count == 1)
        return;
    fault_add(asking->faults, asking->route->file, asking->route->statement.line, 0,
              "@result %s needs a statement with one column, this one has %d",
              route_result_names[asking->route->result], description->column_count);
}

static void check_columns_differ(struct asking *asking, const struct db_description *description)
{
    for (int i = 0; i < description->column_count; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(description->column_names[i], description->column_names[j]) == 0)
                fault_add(asking->faults, asking->route->file, asking->route->statement.line, 0,
                          "columns %d and %d are both called \"%s\": give one another name with AS",
                          j + 1, i + 1, description->column_names[i]);
}

static void check_columns(struct asking *asking, const struct db_description *description)
{
    if (asking->route->result == RESULT_VALUE || asking->route->result == RESULT_JSON)
        check_one_column(asking, description);
    else if (asking->route->result != RESULT_NONE)
        check_columns_differ(asking, description);
}

/* The learned type decides how defaults and choices are written and which constraints fit. */
static void param_take(struct asking *asking, struct param *param, uint32_t oid)
{
    const char *problem;
    if (param->type != TYPE_UNKNOWN)
        return;
    param->type = param_type_of_oid(oid, &param->array);
    if (!param_settle(param, asking->arena, &problem))
        fault_add(asking->faults, asking->route->file, param->line, 0,
                  "@param %s, which PostgreSQL takes for %s: %s", param->name,
                  param_types[param->type].name, problem ? problem : "out of memory");
}

static void types_take(struct asking *asking, const struct db_description *description)
{
    for (int i = 0; i < description->parameter_count; i++) {
        asking->learned->types[i] = description->parameter_types[i];
        param_take(asking, &asking->learned->params[asking->route->statement.param_of[i]],
                   description->parameter_types[i]);
    }
}

/* Where the answer depends on values, its statement tells their tags. */
static bool shape_tags(struct asking *asking)
{
    const struct depends *depends = asking->learned->depends;
    if (!depends->narrowed_count)
        return true;
    asking->learned->sql = db_shape_wrap(
        learn_shape(asking->route->result), asking->route->statement.sql, depends->narrowed,
        depends->narrowed_count, asking->arena, &asking->learned->sql_offset);
    return asking->learned->sql
               ? true
               : db_failure_set(asking->failure, DB_FAILURE_MEMORY, "out of memory");
}

static bool depends_learn(struct asking *asking, const struct db_description *bare)
{
    if (asking->route->method != METHOD_GET)
        return true;
    return depends_ask(asking->connection, asking->route, asking->learned->types, bare,
                       asking->arena, asking->faults, &asking->learned->depends, asking->failure) &&
           shape_tags(asking);
}

/* The whole statement must do as the bare one does. */
static bool shaped_check(struct asking *asking)
{
    struct db_description shaped = {0};
    bool described;
    if (!describe(asking, asking->learned->sql, asking->learned->sql_offset, &shaped, &described))
        return false;
    db_description_free(&shaped);
    return true;
}

static bool bare_take(struct asking *asking, const struct db_description *bare)
{
    check_columns(asking, bare);
    types_take(asking, bare);
    return asking->faults->count || (depends_learn(asking, bare) && shaped_check(asking));
}

/* The bare statement first: its complaint has the clearest words and its columns are the route's.
 */
static bool ask(struct asking *asking)
{
    struct db_description bare = {0};
    bool described;
    if (!types_ask(asking))
        return false;
    if (asking->faults->count)
        return true;
    const char *sql = arena_text(asking->arena, asking->route->statement.sql);
    if (!sql)
        return db_failure_set(asking->failure, DB_FAILURE_MEMORY, "out of memory");
    if (!describe(asking, sql, 0, &bare, &described))
        return false;
    if (!described)
        return true;
    bool taken = bare_take(asking, &bare);
    db_description_free(&bare);
    return taken;
}

bool learn_route(struct db_connection *connection, const struct route *route, struct arena *arena,
                 struct fault_list *faults, struct learned **ret_learned,
                 struct db_failure *failure)
{
    struct db_failure local = {0};
    struct fault_list own = {.arena = faults->arena};
    struct asking asking = {.connection = connection,
                            .route = route,
                            .arena = arena,
                            .faults = &own,
                            .learned = learn_unasked(route, arena),
                            .failure = &local};
    if (!asking.learned)
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    bool asked = ask(&asking);
    identify(asking.learned, route->statement.parameter_count);
    for (size_t i = 0; i < own.count; i++)
        fault_add(faults, own.faults[i].file, own.faults[i].line, own.faults[i].column, "%s",
                  own.faults[i].text);
    if (asked)
        *ret_learned = own.count ? NULL : asking.learned;
    else if (failure)
        *failure = local;
    fault_list_free(&own);
    return asked;
}
