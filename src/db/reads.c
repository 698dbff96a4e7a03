#include "db/reads.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "db/functions.h"
#include "db/rule.h"
#include "db/tables.h"

/* The most columns a table can have, and the whole row as number 0. */
#define COLUMNS_MAX 1600

struct relation {
    uint32_t oid;
    bool asked;
    bool children; /* those who inherit from it are read with it */
    bool columns[COLUMNS_MAX + 1];
};

struct function {
    uint32_t oid;
    bool asked;
};

struct reading {
    struct db_connection *connection;
    struct arena *arena;
    struct db_failure *failure;
    struct bytes relations; /* struct relation */
    struct bytes functions; /* struct function */
    struct bytes hazards;   /* struct hazard_note */
    struct reads *reads;
};

/* OIDs in these are the system's own. */
#define SYSTEM "('pg_catalog', 'information_schema', 'pg_toast')"

/*
 * The stored queries of views, of the policies of tables and of functions whose body PostgreSQL
 * has parsed, each with the columns it depends on. The parts of a user's aggregate are called.
 */
static const char sources_sql[] =
    "WITH source (class, id, query) AS ("
    " SELECT 'pg_catalog.pg_rewrite'::regclass, r.oid, r.ev_action::text"
    " FROM pg_catalog.pg_rewrite AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class"
    " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
    " WHERE r.ev_class = ANY ($1::oid[]) AND r.ev_type = '1' AND c.relkind = 'v'"
    " AND n.nspname NOT IN " SYSTEM " UNION ALL"
    " SELECT 'pg_catalog.pg_policy'::regclass, p.oid, p.polqual::text"
    " FROM pg_catalog.pg_policy AS p JOIN pg_catalog.pg_class AS c ON c.oid = p.polrelid"
    " WHERE p.polrelid = ANY ($1::oid[]) AND c.relrowsecurity AND p.polcmd IN ('r', '*')"
    " UNION ALL"
    " SELECT 'pg_catalog.pg_proc'::regclass, p.oid,"
    " pg_catalog.to_jsonb(p.*) OPERATOR(pg_catalog.->>) 'prosqlbody'"
    " FROM pg_catalog.pg_proc AS p WHERE p.oid = ANY ($2::oid[]) AND p.oid >= 16384"
    " UNION ALL"
    " SELECT 'pg_catalog.pg_aggregate'::regclass, a.aggfnoid,"
    " pg_catalog.format('{AGGREGATE :funcid %s :funcid %s :funcid %s }', a.aggtransfn::oid,"
    " a.aggfinalfn::oid, a.aggmtransfn::oid)"
    " FROM pg_catalog.pg_aggregate AS a WHERE a.aggfnoid = ANY ($2::oid[])"
    ") SELECT query, (SELECT pg_catalog.string_agg(d.refobjid || '.' || d.refobjsubid, ' ')"
    " FROM pg_catalog.pg_depend AS d WHERE d.classid = source.class AND d.objid = source.id"
    " AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid > 0)"
    " FROM source WHERE query IS NOT NULL";

static bool memory(struct reading *reading)
{
    return db_failure_set(reading->failure, DB_FAILURE_MEMORY, "out of memory");
}

static struct relation *relations_of(const struct reading *reading, size_t *ret_count)
{
    *ret_count = reading->relations.size / sizeof(struct relation);
    return (struct relation *)(void *)reading->relations.data;
}

static struct function *functions_of(const struct reading *reading, size_t *ret_count)
{
    *ret_count = reading->functions.size / sizeof(struct function);
    return (struct function *)(void *)reading->functions.data;
}

/* The relation's record, made at first sight. Null: memory. */
static struct relation *relation_note(struct reading *reading, uint32_t oid)
{
    size_t count;
    struct relation *relations = relations_of(reading, &count);
    for (size_t i = 0; i < count; i++)
        if (relations[i].oid == oid)
            return &relations[i];
    const struct relation fresh = {.oid = oid};
    bytes_append(&reading->relations, &fresh, sizeof fresh);
    if (reading->relations.failed)
        return NULL;
    relations = relations_of(reading, &count);
    return &relations[count - 1];
}

static void visit_relation(void *to, uint32_t oid, bool with_children)
{
    struct relation *relation = relation_note(to, oid);
    if (relation)
        relation->children = relation->children || with_children;
}

static void visit_column(void *to, uint32_t oid, int number)
{
    struct relation *relation = relation_note(to, oid);
    if (relation && number >= 0 && number <= COLUMNS_MAX)
        relation->columns[number] = true;
}

static void visit_function(void *to, uint32_t oid)
{
    struct reading *reading = to;
    size_t count;
    const struct function *functions = functions_of(reading, &count);
    const struct function fresh = {.oid = oid};
    for (size_t i = 0; i < count; i++)
        if (functions[i].oid == oid)
            return;
    bytes_append(&reading->functions, &fresh, sizeof fresh);
}

static void visit_clock(void *to)
{
    hazard_add(&((struct reading *)to)->hazards, HAZARD_CLOCK, "CURRENT_TIMESTAMP");
}

static void visit_sample(void *to)
{
    hazard_add(&((struct reading *)to)->hazards, HAZARD_RANDOM, "TABLESAMPLE");
}

static bool execute(struct reading *reading, const char *sql, const char *const *values, int count,
                    struct db_result **ret_result)
{
    return db_ask(reading->connection, sql, values, count, TABLES_TIMEOUT, ret_result,
                  reading->failure);
}

static void array_add(struct bytes *array, const char *item)
{
    bytes_append_text(array, array->size ? "," : "{");
    bytes_append_text(array, item);
}

static void array_add_oid(struct bytes *array, uint32_t oid)
{
    char text[16];
    snprintf(text, sizeof text, "%" PRIu32, oid);
    array_add(array, text);
}

static void array_end(struct bytes *array)
{
    bytes_append_text(array, array->size ? "}" : "{}");
}

/* "oid.number oid.number …" */
static void columns_take(struct reading *reading, struct span text)
{
    while (text.data) {
        struct span part = span_split(&text, ' ');
        char *end;
        unsigned long oid = part.size ? strtoul(part.data, &end, 10) : 0;
        if (oid && *end == '.')
            visit_column(reading, (uint32_t)oid, (int)strtol(end + 1, NULL, 10));
    }
}

static bool sources_take(struct reading *reading, const struct db_result *result)
{
    const struct rule_visitor visitor = {.to = reading,
                                         .relation = visit_relation,
                                         .column = visit_column,
                                         .function = visit_function,
                                         .clock = visit_clock,
                                         .sample = visit_sample};
    for (int row = 0; row < db_result_rows(result); row++) {
        if (!rule_read(db_result_value(result, row, 0), &visitor))
            return memory(reading);
        columns_take(reading, db_result_value(result, row, 1));
    }
    return !reading->relations.failed && !reading->functions.failed ? true : memory(reading);
}

/* Gathers what has not been asked yet; true when there is any. */
static bool unasked_take(struct reading *reading, struct bytes *relations, struct bytes *functions)
{
    size_t count;
    struct relation *relation = relations_of(reading, &count);
    for (size_t i = 0; i < count; i++)
        if (!relation[i].asked)
            array_add_oid(relations, relation[i].oid);
    for (size_t i = 0; i < count; i++)
        relation[i].asked = true;
    struct function *function = functions_of(reading, &count);
    for (size_t i = 0; i < count; i++)
        if (!function[i].asked)
            array_add_oid(functions, function[i].oid);
    for (size_t i = 0; i < count; i++)
        function[i].asked = true;
    bool any = relations->size || functions->size;
    array_end(relations);
    array_end(functions);
    return any;
}

/* One round: what stands in the views and functions found since the last. */
static bool sources_round(struct reading *reading, bool *ret_more)
{
    struct bytes relations CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes functions CLEANUP(bytes_free) = BYTES_EMPTY;
    struct db_result *result = NULL;
    *ret_more = unasked_take(reading, &relations, &functions);
    if (!*ret_more)
        return true;
    const char *const values[] = {bytes_text(&relations), bytes_text(&functions)};
    if (!execute(reading, sources_sql, values, 2, &result))
        return false;
    bool taken = sources_take(reading, result);
    db_result_free(result);
    return taken;
}

static bool sources_read(struct reading *reading)
{
    bool more = true;
    while (more)
        if (!sources_round(reading, &more))
            return false;
    return true;
}

static bool functions_read(struct reading *reading)
{
    struct bytes oids CLEANUP(bytes_free) = BYTES_EMPTY;
    size_t count;
    const struct function *functions = functions_of(reading, &count);
    for (size_t i = 0; i < count; i++)
        array_add_oid(&oids, functions[i].oid);
    array_end(&oids);
    return functions_judge(reading->connection, bytes_text(&oids), reading->arena,
                           &reading->hazards, &reading->reads->hidden, reading->failure);
}

/* What is no table of anybody's own, and what changes elsewhere. */
static bool tables_judge(struct reading *reading)
{
    struct reads *reads = reading->reads;
    size_t kept = 0;
    for (size_t i = 0; i < reads->table_count; i++) {
        const struct read_table *table = &reads->tables[i];
        if (table->kind == 'S' || table->system || table->kind == 'f') {
            const char *name = tables_name(table, reading->arena);
            if (!name)
                return memory(reading);
            hazard_add(&reading->hazards, table->kind == 'f' ? HAZARD_FOREIGN : HAZARD_CATALOG,
                       name);
        }
        if (table->kind != 'S' && !table->system)
            reads->tables[kept++] = *table;
    }
    reads->table_count = kept;
    return true;
}

static bool column_is_read(const void *of, uint32_t root, long number)
{
    size_t count;
    const struct relation *relations = relations_of(of, &count);
    for (size_t i = 0; i < count; i++)
        if (relations[i].oid == root)
            return relations[i].columns[0] ||
                   (number > 0 && number <= COLUMNS_MAX && relations[i].columns[number]);
    return false;
}

static bool tables_read(struct reading *reading)
{
    struct bytes roots CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes children CLEANUP(bytes_free) = BYTES_EMPTY;
    size_t count;
    const struct relation *relations = relations_of(reading, &count);
    for (size_t i = 0; i < count; i++) {
        array_add_oid(&roots, relations[i].oid);
        array_add(&children, relations[i].children ? "t" : "f");
    }
    array_end(&roots);
    array_end(&children);
    const struct tables_question question = {.roots = bytes_text(&roots),
                                             .children = bytes_text(&children),
                                             .is_read = column_is_read,
                                             .reader = reading};
    return tables_ask(reading->connection, &question, reading->arena, &reading->reads->tables,
                      &reading->reads->table_count, reading->failure) &&
           tables_judge(reading);
}

/* The parameters as NULLs of their types, "(NULL::bigint)" for $1. Null: memory, or the failure. */
static const char **nulls_make(struct reading *reading, const uint32_t *types, size_t count)
{
    struct bytes oids CLEANUP(bytes_free) = BYTES_EMPTY;
    struct db_result *result = NULL;
    const char **nulls = arena_array(reading->arena, count, sizeof *nulls);
    for (size_t i = 0; i < count; i++)
        array_add_oid(&oids, types[i]);
    array_end(&oids);
    const char *const values[] = {bytes_text(&oids)};
    static const char sql[] = "SELECT pg_catalog.format_type(t, -1)"
                              " FROM pg_catalog.unnest($1::oid[]) WITH ORDINALITY AS u (t, n)"
                              " ORDER BY n";
    if (!execute(reading, sql, values, 1, &result))
        return NULL;
    bool good = nulls != NULL;
    for (size_t i = 0; good && i < count; i++) {
        nulls[i] = arena_format(reading->arena, "(NULL::%.*s)",
                                SPAN_PRINTF(db_result_value(result, (int)i, 0)));
        good = nulls[i] != NULL;
    }
    db_result_free(result);
    return good || !memory(reading) ? nulls : NULL;
}

/* A subselect lets columns have one name twice, and types that no view's column may have. */
static bool view_make(struct reading *reading, const struct route *route, const uint32_t *types)
{
    struct bytes sql CLEANUP(bytes_free) = BYTES_EMPTY;
    const char **nulls = nulls_make(reading, types, route->statement.parameter_count);
    if (!nulls)
        return false;
    bytes_append_text(&sql, "CREATE TEMPORARY VIEW larder_route AS"
                            " SELECT pg_catalog.count(*) FROM (");
    statement_write(&route->statement, nulls, &sql);
    bytes_append_text(&sql, "\n) AS larder_row");
    struct db_result *result = NULL;
    bool made = sql.failed ? memory(reading)
                           : db_execute(reading->connection, bytes_text(&sql), NULL, 0,
                                        TABLES_TIMEOUT, &result, reading->failure);
    db_result_free(result);
    return made;
}

/* To plan anew what is asked of each route took half of the time that PostgreSQL had for it. */
static bool view_begin(struct reading *reading, const struct route *route, const uint32_t *types)
{
    char begin[256];
    snprintf(begin, sizeof begin,
             "BEGIN READ WRITE; SET LOCAL statement_timeout = '4s';"
             "SET LOCAL idle_in_transaction_session_timeout = '5s';"
             "SET LOCAL lock_timeout = '%s'; SET LOCAL plan_cache_mode = force_generic_plan",
             db_lock_timeout(reading->connection));
    return db_script(reading->connection, begin, TABLES_TIMEOUT, reading->failure) &&
           view_make(reading, route, types);
}

/* The view itself is the first relation to look into. */
static bool view_note(struct reading *reading)
{
    struct db_result *result = NULL;
    if (!execute(reading, "SELECT 'pg_temp.larder_route'::pg_catalog.regclass::oid", NULL, 0,
                 &result))
        return false;
    struct span oid = db_result_value(result, 0, 0);
    bool noted = relation_note(reading, (uint32_t)strtoul(oid.data, NULL, 10)) != NULL;
    db_result_free(result);
    return noted ? true : memory(reading);
}

static bool hazards_keep(struct reading *reading)
{
    struct reads *reads = reading->reads;
    reads->hazard_count = reading->hazards.size / sizeof *reads->hazards;
    reads->hazards = arena_array(reading->arena, reads->hazard_count, sizeof *reads->hazards);
    if (reading->hazards.failed || !reads->hazards)
        return memory(reading);
    if (reads->hazard_count)
        memcpy(reads->hazards, reading->hazards.data, reading->hazards.size);
    return true;
}

static bool refused_keep(struct reading *reading)
{
    const char *message = arena_text(reading->arena, span_of(reading->failure->message));
    if (!message)
        return memory(reading);
    *reading->reads = (struct reads){.refused = message};
    return true;
}

static bool read_once(struct reading *reading, const struct route *route, const uint32_t *types)
{
    *reading->reads = (struct reads){0};
    bytes_clear(&reading->relations);
    bytes_clear(&reading->functions);
    bytes_clear(&reading->hazards);
    db_ask_ready(reading->connection, TABLES_TIMEOUT);
    return view_begin(reading, route, types) && view_note(reading) && sources_read(reading) &&
           functions_read(reading) && tables_read(reading) && hazards_keep(reading);
}

/* Between two tries nothing is held: the ROLLBACK has let go of all. */
static bool read_patiently(struct reading *reading, const struct route *route,
                           const uint32_t *types)
{
    struct db_connection *connection = reading->connection;
    int64_t deadline = clock_monotonic() + TABLES_TIMEOUT;
    while (!read_once(reading, route, types))
        if (!db_failure_is_lock(reading->failure) || !db_usable(connection) ||
            !db_patience_lasts(connection, deadline) || !reads_end(connection, NULL))
            return false;
    return true;
}

bool reads_begin(struct db_connection *connection, const struct route *route, const uint32_t *types,
                 struct arena *arena, struct reads *ret_reads, struct db_failure *failure)
{
    struct db_failure local = {0};
    struct reads reads = {0};
    struct reading reading = {
        .connection = connection, .arena = arena, .failure = &local, .reads = &reads};
    bool done = read_patiently(&reading, route, types);
    if (!done && db_failure_is_refusal(&local))
        done = refused_keep(&reading);
    bytes_free(&reading.relations);
    bytes_free(&reading.functions);
    bytes_free(&reading.hazards);
    if (done)
        *ret_reads = reads;
    else if (failure)
        *failure = local;
    return done;
}

bool reads_end(struct db_connection *connection, struct db_failure *failure)
{
    struct db_result *result = NULL;
    if (!db_execute(connection, "ROLLBACK", NULL, 0, TABLES_TIMEOUT, &result, failure))
        return false;
    db_result_free(result);
    return true;
}
