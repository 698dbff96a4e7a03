#include "db/learn_unasked.h"

#include "base/hash.h"

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

/* What differs in text or types has another id, so a connection can't run one for the other. */
static uint64_t identify(const char *sql, const uint32_t *oids, size_t count)
{
    static const struct hash_key key = {
        {UINT64_C(0x6c61726465722073), UINT64_C(0x746174656d656e74)}};
    const struct span types = {.data = (const char *)oids, .size = count * sizeof *oids};
    uint64_t parts[] = {hash_of(&key, span_of(sql)), hash_of(&key, types)};
    uint64_t id = hash_of(&key, (struct span){.data = (const char *)parts, .size = sizeof parts});
    return id ? id : 1;
}

static void identify_pages(struct learned *learned, const struct route *route)
{
    struct learned_page *page = &learned->page;
    size_t count = route->statement.parameter_count + route->page.column_count;
    page->ids[DB_PAGE_FIRST] = learned->id;
    page->ids[DB_PAGE_AFTER] = identify(page->sqls[DB_PAGE_AFTER], page->types, count);
    page->ids[DB_PAGE_BEFORE] = identify(page->sqls[DB_PAGE_BEFORE], page->types, count);
}

void learn_identify(struct learned *learned, const struct route *route)
{
    learned->id = identify(learned->sql, learned->types, route->statement.parameter_count);
    for (size_t i = 0; i < route->before_count; i++) {
        struct learned_before *before = &learned->write.before[i];
        before->id = identify(before->sql, before->types, route->before[i].parameter_count);
    }
    if (route->page.column_count)
        identify_pages(learned, route);
}

/* The types that the file itself declares; null: memory. */
static uint32_t *types_declared(const struct route *route, const struct statement *statement,
                                struct arena *arena)
{
    uint32_t *types = arena_array(arena, statement->parameter_count, sizeof *types);
    for (unsigned i = 0; types && i < statement->parameter_count; i++)
        types[i] = declared_oid(learn_param(route, statement, i));
    return types;
}

/* A write is not shaped before PostgreSQL has told whether it gives rows. */
static bool write_unasked(struct learned *learned, const struct route *route, struct arena *arena)
{
    struct learned_before *before = arena_array(arena, route->before_count, sizeof *before);
    learned->sql = arena_text(arena, route->statement.sql);
    learned->write = (struct learned_write){.before = before, .shape = learn_shape(route->result)};
    for (size_t i = 0; before && i < route->before_count; i++) {
        before[i].sql = arena_text(arena, route->before[i].sql);
        before[i].types = types_declared(route, &route->before[i], arena);
        if (!before[i].sql || !before[i].types)
            return false;
    }
    return before && learned->sql;
}

static bool pages_unasked(struct learned *learned, const struct route *route, struct arena *arena)
{
    const struct page_question question = {.route = route, .types = learned->types};
    if (!page_shape(&question, arena, &learned->page))
        return false;
    learned->sql = learned->page.sqls[DB_PAGE_FIRST];
    learned->sql_offset = learned->page.offsets[DB_PAGE_FIRST];
    return true;
}

static bool sql_unasked(struct learned *learned, const struct route *route, struct arena *arena)
{
    if (route->method != METHOD_GET)
        return write_unasked(learned, route, arena);
    if (route->page.column_count)
        return pages_unasked(learned, route, arena);
    learned->sql = db_shape_wrap(learn_shape(route->result), route->statement.sql, NULL, 0, arena,
                                 &learned->sql_offset);
    return learned->sql;
}

struct learned *learn_unasked(const struct route *route, struct arena *arena)
{
    struct learned *learned = arena_alloc(arena, sizeof *learned);
    if (!learned)
        return NULL;
    learned->types = types_declared(route, &route->statement, arena);
    learned->params = arena_array(arena, route->param_count, sizeof *learned->params);
    if (!learned->types || !learned->params || !sql_unasked(learned, route, arena))
        return NULL;
    for (size_t i = 0; i < route->param_count; i++)
        learned->params[i] = route->params[i];
    learn_identify(learned, route);
    return learned;
}
