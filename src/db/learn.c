#include "db/learn.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "db/complaint.h"
#include "db/learn_array.h"
#include "db/learn_stream.h"
#include "db/learn_unasked.h"
#include "db/session.h"
#include "route/place.h"
#include "route/statement_kind.h"
#include "route/template.h"

#define ASK_TIMEOUT (5 * INT64_C(1000000))

/* One route's asking: everything the small functions below share. */
struct asking {
    struct db_connection *connection;
    const struct route *route;
    const struct statement *statement; /* the one at hand … */
    uint32_t *types;                   /* … and the types of its parameters */
    struct arena *arena;
    struct fault_list *faults;
    struct learned *learned;
    struct db_failure *failure;
};

/* PostgreSQL's complaint at its place in the file; `position` 0 has no place. */
static void fault_from(struct asking *asking, size_t position)
{
    const struct route *route = asking->route;
    unsigned line = asking->statement->line, column = 0;
    if (position > utf8_count(asking->statement->sql))
        position = 0; /* in what stands around it */
    if (position)
        statement_locate(asking->statement, route->text, position, &line, &column);
    fault_add(asking->faults, route->file, line, column, "%s",
              complaint_text(route, asking->statement, asking->failure, asking->arena));
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
    if (!asked && name && db_failure_is_refusal(asking->failure)) {
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
    for (unsigned i = 0; i < asking->statement->parameter_count; i++) {
        const struct param *param = learn_param(asking->route, asking->statement, i);
        if (param->type == TYPE_OTHER && param->type_name.size &&
            !type_ask(asking, param, &asking->types[i]))
            return false;
    }
    return true;
}

/* False only when PostgreSQL could not be asked; *ret_described is false after its complaint. */
static bool describe(struct asking *asking, const struct db_shaped *shaped,
                     struct db_description *ret_description, bool *ret_described)
{
    *ret_described = db_describe(asking->connection, shaped->sql, asking->types,
                                 (int)asking->statement->parameter_count, ASK_TIMEOUT,
                                 ret_description, asking->failure);
    if (*ret_described)
        return true;
    if (!db_failure_is_refusal(asking->failure))
        return false;
    fault_from(asking, db_shape_position(shaped, asking->failure->position));
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

static const char *column_find(const struct db_description *bare, struct span name)
{
    for (int i = 0; i < bare->column_count; i++)
        if (span_is(name, bare->column_names[i]))
            return bare->column_names[i];
    return NULL;
}

/* The entity tag of a read tells the version that its row shows. */
static void check_version(struct asking *asking, const struct db_description *description)
{
    struct span version = asking->route->version.column;
    if (version.size && !column_find(description, version))
        fault_add(asking->faults, asking->route->file, asking->route->statement.line, 0,
                  "@version %.*s: the statement gives no column of that name",
                  SPAN_PRINTF(version));
}

static void check_page(struct asking *asking, const struct db_description *description)
{
    const struct route_page *page = &asking->route->page;
    for (size_t i = 0; i < page->column_count; i++)
        if (page_result_column(description, page->columns[i].name) < 0)
            fault_add(asking->faults, asking->route->file, asking->route->statement.line, 0,
                      "@page by=%.*s: the statement gives no column of that name",
                      SPAN_PRINTF(page->columns[i].name));
}

static void check_columns(struct asking *asking, const struct db_description *description)
{
    if (asking->route->result == RESULT_VALUE || asking->route->result == RESULT_JSON)
        check_one_column(asking, description);
    else if (asking->route->result != RESULT_NONE)
        check_columns_differ(asking, description);
}

/* The learned type decides how defaults and choices are written and which constraints fit. */
static bool param_take(struct asking *asking, struct param *param, uint32_t oid)
{
    const char *problem;
    if (param->type != TYPE_UNKNOWN)
        return true;
    param->type = param_type_of_oid(oid, &param->array);
    if (param->type == TYPE_OTHER &&
        !learn_is_array(asking->connection, oid, ASK_TIMEOUT, &param->array, asking->failure))
        return false;
    if (!param_settle(param, asking->arena, &problem))
        fault_add(asking->faults, asking->route->file, param->line, 0,
                  "@param %s, which PostgreSQL takes for %s: %s", param->name,
                  param_types[param->type].name, problem ? problem : "out of memory");
    return true;
}

static bool types_take(struct asking *asking, const struct db_description *description)
{
    bool taken = true;
    for (int i = 0; i < description->parameter_count && taken; i++) {
        asking->types[i] = description->parameter_types[i];
        taken = param_take(asking, &asking->learned->params[asking->statement->param_of[i]],
                           description->parameter_types[i]);
    }
    return taken;
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
    return depends_ask(asking->connection, asking->route, asking->learned->types, bare,
                       asking->arena, asking->faults, &asking->learned->depends, asking->failure);
}

static bool pages_learn(struct asking *asking, const struct db_description *bare)
{
    struct learned *learned = asking->learned;
    const struct page_question question = {.route = asking->route,
                                           .types = learned->types,
                                           .result = bare,
                                           .tags = learned->depends->narrowed,
                                           .tag_count = learned->depends->narrowed_count};
    if (!page_ask(asking->connection, &question, ASK_TIMEOUT, asking->arena, &learned->page,
                  asking->failure))
        return false;
    learned->sql = learned->page.sqls[DB_PAGE_FIRST];
    learned->sql_offset = learned->page.offsets[DB_PAGE_FIRST];
    return true;
}

/* The whole statement must do as the bare one does. */
static bool shaped_check(struct asking *asking, const struct db_shaped *shaped)
{
    struct db_description description = {0};
    bool described;
    if (!describe(asking, shaped, &description, &described))
        return false;
    db_description_free(&description);
    return true;
}

static bool stream_check(struct asking *asking)
{
    struct db_shaped shaped = {0};
    shaped.sql = learn_stream_probe(asking->route, asking->arena, &shaped.before);
    return shaped.sql ? shaped_check(asking, &shaped)
                      : db_failure_set(asking->failure, DB_FAILURE_MEMORY, "out of memory");
}

/* Nothing of it is kept, so what it reads is of no interest. */
static bool stream_take(struct asking *asking, const struct db_description *bare)
{
    const struct route *route = asking->route;
    if (!bare->column_count)
        fault_add(asking->faults, route->file, asking->statement->line, 0,
                  "@stream: the statement gives no columns");
    else if (!statement_is_relation(asking->statement->sql))
        fault_add(asking->faults, route->file, asking->statement->line, 0,
                  "@stream needs a SELECT, VALUES, TABLE or WITH");
    else if (learn_stream_has_objects(&route->stream))
        check_columns_differ(asking, bare);
    if (asking->faults->count == 0 && !stream_check(asking))
        return false;
    return asking->faults->count ||
           learn_stream(asking->connection, route, asking->types, bare, ASK_TIMEOUT, asking->arena,
                        &asking->learned->stream, asking->failure);
}

/* The statement has the values of the key behind its own; one complaint of several is enough. */
static bool pages_check(struct asking *asking)
{
    const struct learned_page *page = &asking->learned->page;
    struct statement widened = *asking->statement;
    struct asking wide = *asking;
    wide.statement = &widened;
    wide.types = page->types;
    widened.parameter_count += (unsigned)asking->route->page.column_count;
    for (enum db_page_side side = DB_PAGE_AFTER; side < DB_PAGE_SIDES; side++) {
        const struct db_shaped shaped = {.sql = page->sqls[side], .before = page->offsets[side]};
        if (asking->faults->count == 0 && !shaped_check(&wide, &shaped))
            return false;
    }
    return true;
}

/* SHOW, say, gives rows, but nothing can be put around it. */
static void check_query(struct asking *asking)
{
    if (!statement_is_relation(asking->statement->sql))
        fault_add(asking->faults, asking->route->file, asking->statement->line, 0,
                  "a GET needs a SELECT, VALUES, TABLE or WITH");
}

static bool read_take(struct asking *asking, const struct db_description *bare)
{
    if (asking->route->stream.format_count)
        return stream_take(asking, bare);
    const bool paged = asking->route->page.column_count > 0;
    check_query(asking);
    check_columns(asking, bare);
    check_version(asking, bare);
    check_page(asking, bare);
    if (asking->faults->count)
        return true;
    if (!depends_learn(asking, bare))
        return false;
    if (!(paged ? pages_learn(asking, bare) : shape_tags(asking)))
        return false;
    const struct db_shaped shaped = {.sql = asking->learned->sql,
                                     .before = asking->learned->sql_offset};
    return shaped_check(asking, &shaped) && (!paged || pages_check(asking));
}

static bool column_add(struct asking *asking, struct span name)
{
    struct learned_write *write = &asking->learned->write;
    for (size_t i = 0; i < write->column_count; i++)
        if (span_is(name, write->columns[i]))
            return true;
    const char **grown = arena_array(asking->arena, write->column_count + 1, sizeof *grown);
    const char *copy = arena_text(asking->arena, name);
    if (!grown || !copy)
        return db_failure_set(asking->failure, DB_FAILURE_MEMORY, "out of memory");
    if (write->column_count)
        memcpy(grown, write->columns, write->column_count * sizeof *grown);
    grown[write->column_count++] = copy;
    write->columns = grown;
    return true;
}

/* What the places of a path name: columns of the first row, or parameters. */
static bool places_learn(struct asking *asking, const struct db_description *bare, const char *word,
                         struct span path)
{
    const struct route *route = asking->route;
    struct span literal, name, rest = path;
    while (template_next(&rest, &literal, &name)) {
        if (!name.data)
            continue;
        if (column_find(bare, name)) {
            if (!column_add(asking, name))
                return false;
            continue;
        }
        if (route_param_find(route, name) >= 0)
            continue;
        struct place place = place_of(route->text, (size_t)(name.data - route->text.data));
        fault_add(asking->faults, route->file, place.line, place.column,
                  "%s: {%.*s} is no parameter and no column of what the last statement gives", word,
                  SPAN_PRINTF(name));
    }
    return true;
}

static bool all_places_learn(struct asking *asking, const struct db_description *bare)
{
    const struct route *route = asking->route;
    for (size_t i = 0; i < route->refresh_count; i++)
        if (!places_learn(asking, bare, "@refreshes", route->refreshes[i].path))
            return false;
    return places_learn(asking, bare, "@location", route->location);
}

/* Faults where the rows can't be what @result says. */
static void check_write(struct asking *asking, const struct db_description *bare)
{
    const struct route *route = asking->route;
    const char *result = route_result_names[route->result];
    if (!bare->column_count && route->version.column.size)
        fault_add(asking->faults, route->file, asking->statement->line, 0,
                  "@version: without RETURNING nobody can tell whether the version was there; "
                  "\"@result none\" answers without a body all the same");
    else if (!bare->column_count && route->result != RESULT_ROWS && route->result != RESULT_NONE)
        fault_add(asking->faults, route->file, asking->statement->line, 0,
                  "@result %s, but the last statement gives no rows: add RETURNING", result);
    else if (bare->column_count && !statement_is_relation(asking->statement->sql) &&
             route->result != RESULT_NONE)
        fault_add(asking->faults, route->file, asking->statement->line, 0,
                  "@result %s needs SELECT, INSERT, UPDATE or DELETE as the last statement",
                  result);
    else if (bare->column_count)
        check_columns(asking, bare);
}

/* Would a missing row leave something done? Then it must undo it. */
static bool row_wanted(const struct route *route)
{
    return route->before_count || statement_main(route->statement.sql);
}

static bool write_shape(struct asking *asking, const struct db_description *bare)
{
    struct learned_write *write = &asking->learned->write;
    const struct route *route = asking->route;
    struct db_shaped shaped;
    write->known = true;
    if (!bare->column_count)
        write->shape = DB_SHAPE_NONE;
    if (!bare->column_count || !statement_is_relation(route->statement.sql))
        return true;
    const struct db_shape_write wanted = {.shape = write->shape,
                                          .columns = write->columns,
                                          .column_count = write->column_count,
                                          .row_wanted = row_wanted(route)};
    if (!db_shape_wrap_write(&wanted, route->statement.sql, asking->arena, &shaped))
        return db_failure_set(asking->failure, DB_FAILURE_MEMORY, "out of memory");
    write->shaped = true;
    asking->learned->sql = shaped.sql;
    return shaped_check(asking, &shaped);
}

static bool write_take(struct asking *asking, const struct db_description *bare)
{
    check_write(asking, bare);
    if (!all_places_learn(asking, bare))
        return false;
    return asking->faults->count || write_shape(asking, bare);
}

/*
 * The bare statement first: its complaint has the clearest words and its columns are the route's.
 * *ret_bare is empty after a complaint.
 */
static bool ask_bare(struct asking *asking, struct db_description *ret_bare, bool *ret_described)
{
    size_t faults = asking->faults->count;
    *ret_described = false;
    if (!types_ask(asking))
        return false;
    if (asking->faults->count > faults)
        return true;
    const struct db_shaped bare = {.sql = arena_text(asking->arena, asking->statement->sql)};
    if (!bare.sql)
        return db_failure_set(asking->failure, DB_FAILURE_MEMORY, "out of memory");
    if (!describe(asking, &bare, ret_bare, ret_described))
        return false;
    if (!*ret_described || types_take(asking, ret_bare))
        return true;
    db_description_free(ret_bare);
    return false;
}

/* A write's statements before the last: only their parameters' types are of interest. */
static bool ask_before(struct asking *asking)
{
    const struct route *route = asking->route;
    for (size_t i = 0; i < route->before_count; i++) {
        struct db_description bare = {0};
        bool described;
        asking->statement = &route->before[i];
        asking->types = asking->learned->write.before[i].types;
        if (!ask_bare(asking, &bare, &described))
            return false;
        if (described)
            db_description_free(&bare);
    }
    return true;
}

static bool ask(struct asking *asking)
{
    struct db_description bare = {0};
    bool described, read = asking->route->method == METHOD_GET;
    if (!ask_before(asking))
        return false;
    asking->statement = &asking->route->statement;
    asking->types = asking->learned->types;
    if (!route_reads(asking->route, asking->faults))
        return true;
    if (!ask_bare(asking, &bare, &described))
        return false;
    if (!described)
        return true;
    bool taken = read ? read_take(asking, &bare) : write_take(asking, &bare);
    db_description_free(&bare);
    return taken;
}

bool learn_route(struct db_connection *connection, const struct route *route,
                 struct session_look *look, struct arena *arena, struct fault_list *faults,
                 struct learned **ret_learned, struct db_failure *failure)
{
    struct db_failure local = {0};
    struct fault_list own = {.arena = faults->arena};
    struct asking asking = {.connection = connection,
                            .route = route,
                            .statement = &route->statement,
                            .arena = arena,
                            .faults = &own,
                            .learned = learn_unasked(route, arena),
                            .failure = &local};
    if (!asking.learned)
        return db_failure_set(failure, DB_FAILURE_MEMORY, "out of memory");
    bool asked = ask(&asking) && session_ask_plain(connection, route, ASK_TIMEOUT, look,
                                                   &asking.learned->plain, &local);
    learn_identify(asking.learned, route);
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
