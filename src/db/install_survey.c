#include "db/install_survey.h"

#include <stdlib.h>
#include <string.h>

#include "db/install_value.h"

struct survey {
    struct db_connection *connection;
    struct arena *arena;
    struct db_failure *failure;
};

static void result_free(struct db_result **result)
{
    db_result_free(*result);
}

static bool memory(const struct survey *survey)
{
    return db_failure_set(survey->failure, DB_FAILURE_MEMORY, "out of memory");
}

static bool ask(const struct survey *survey, const char *sql, const char *value,
                struct db_result **ret_result)
{
    return db_execute(survey->connection, sql, &value, value ? 1 : 0, INSTALL_TIMEOUT, ret_result,
                      survey->failure);
}

/* The value's text, or null for NULL; *failed when memory is out. */
static const char *text_at(const struct survey *survey, const struct db_result *result, int row,
                           int column, bool *failed)
{
    struct span value = db_result_value(result, row, column);
    const char *text = value.data ? arena_text(survey->arena, value) : NULL;
    *failed = *failed || (value.data && !text);
    return text;
}

static bool true_at(const struct db_result *result, int row, int column)
{
    return span_is(db_result_value(result, row, column), "t");
}

static const char place_sql[] =
    "SELECT current_user, current_database(), r.rolsuper,"
    " has_database_privilege(current_database(), 'CREATE'),"
    " to_regnamespace('larder') IS NOT NULL, to_regclass('larder.meta') IS NOT NULL"
    " FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user";

enum {
    PLACE_ROLE,
    PLACE_DATABASE,
    PLACE_SUPERUSER,
    PLACE_CREATE,
    PLACE_SCHEMA,
    PLACE_META,
};

/*
 * Who restores a dump without privileges has a schema whose functions anybody may call. A role that
 * was made anew, or only after the restore, has lost its rights though the schema names it. Whoever
 * takes all functions from PUBLIC takes from writers what their triggers call.
 */
static const char state_sql[] =
    "SELECT CASE WHEN n.nspacl IS NULL THEN -1 ELSE m.version END, r.rolname,"
    " has_table_privilege(r.oid, 'larder.outbox', 'DELETE'),"
    " EXISTS (SELECT FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = 'larder'::regnamespace"
    " AND " INSTALL_VALUE_FUNCTION " AND NOT has_function_privilege('public', p.oid, 'EXECUTE'))"
    " FROM larder.meta AS m LEFT JOIN pg_catalog.pg_roles AS r ON r.rolname = m.daemon"
    " JOIN pg_catalog.pg_namespace AS n ON n.nspname = 'larder'";

/* A migration of a role named as the schema may put things there by mistake ("$user"). */
static const char strangers_sql[] =
    "SELECT string_agg(name, ', ' ORDER BY name) FROM ("
    "SELECT c.relname AS name FROM pg_catalog.pg_class AS c"
    " WHERE c.relnamespace = 'larder'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')"
    " AND c.relname NOT IN"
    " ('asleep', 'definition', 'known', 'made_trigger', 'marker', 'meta', 'outbox', 'watch') "
    "UNION ALL "
    "SELECT p.proname FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = 'larder'::regnamespace"
    " AND NOT " INSTALL_VALUE_FUNCTION " AND p.proname NOT IN ('behind_begin', 'behind_done', "
    "'bumped', 'changed_definitions',"
    " 'children', 'differ', 'fingerprints', 'fresh', 'jobs_begin', 'jobs_done', 'jobs_forget', "
    "'know',"
    " 'leave', 'mine', 'moved', 'note', 'on_ddl', 'once', 'once_done', 'once_forget', "
    "'prepared_before_crash', 'put', 'strike', 'struck', 'tags_of', 'triggers', 'unheard', 'wake') "
    "UNION ALL "
    "SELECT t.typname FROM pg_catalog.pg_type AS t WHERE t.typnamespace = 'larder'::regnamespace"
    " AND t.typrelid = 0 AND t.typcategory <> 'A') AS strangers";

static const char children_sql[] = "SELECT EXISTS (SELECT FROM larder.children() AS c"
                                   " WHERE c.child NOT IN (SELECT k.child FROM larder.known AS k))";

static const char unsound_sql[] =
    "SELECT DISTINCT t.name FROM larder.triggers() AS t WHERE NOT t.sound";

/*
 * The module's, known by its function in C: they outlive a schema `larder` that was dropped. Of a
 * UNION that begins with names all would be names, cut off at 63 bytes.
 */
#define MODULE_TRIGGERS                                                                            \
    "SELECT 1, n.nspname::text, c.relname::text, t.tgname::text FROM pg_catalog.pg_trigger AS t"   \
    " JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid"                                          \
    " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"                                 \
    " JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid"                                            \
    " JOIN pg_catalog.pg_namespace AS f ON f.oid = p.pronamespace"                                 \
    " WHERE f.nspname = 'larder_ring' AND p.proname = 'strike' AND p.prolang = 13"                 \
    " AND t.tgname LIKE 'larder\\_%' AND t.tgparentid = 0"

static const char left_sql[] = MODULE_TRIGGERS;

/* In the order of enum install_kind, whose number is the first column. */
static const char things_sql[] = MODULE_TRIGGERS
    " UNION ALL "
    "SELECT 0, '', '', p.proname::text FROM pg_catalog.pg_proc AS p"
    " WHERE p.pronamespace = 'larder'::regnamespace AND " INSTALL_VALUE_FUNCTION " "
    "UNION ALL "
    "SELECT 1, n.nspname, c.relname, t.tgname FROM pg_catalog.pg_trigger AS t"
    " JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid"
    " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
    " JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid"
    " WHERE p.pronamespace = 'larder'::regnamespace AND t.tgname LIKE 'larder\\_%'"
    " AND t.tgparentid = 0 "
    "UNION ALL "
    "SELECT 2, '', '', e.evtname FROM pg_catalog.pg_event_trigger AS e"
    " JOIN pg_catalog.pg_proc AS p ON p.oid = e.evtfoid"
    " WHERE p.pronamespace = 'larder'::regnamespace AND e.evtname LIKE 'larder\\_ddl%' "
    "UNION ALL "
    "SELECT 3, w.schema, w.\"table\", w.tag FROM larder.watch AS w";

static bool things_ask(const struct survey *survey, const char *sql,
                       struct install_things *ret_things)
{
    struct db_result *result CLEANUP(result_free) = NULL;
    struct install_things things = {0};
    bool failed = false;
    if (!ask(survey, sql, NULL, &result))
        return false;
    things.count = (size_t)db_result_rows(result);
    things.items = arena_array(survey->arena, things.count, sizeof *things.items);
    if (!things.items)
        return memory(survey);
    for (size_t i = 0; i < things.count; i++) {
        int row = (int)i;
        things.items[i] = (struct install_thing){
            .kind = (enum install_kind)strtol(db_result_value(result, row, 0).data, NULL, 10),
            .schema = text_at(survey, result, row, 1, &failed),
            .table = text_at(survey, result, row, 2, &failed),
            .name = text_at(survey, result, row, 3, &failed),
        };
    }
    *ret_things = things;
    return !failed || memory(survey);
}

/* A trigger on a partition is unsound by its root's name. */
static void unsound_mark(const struct db_result *names, const struct install_things *things)
{
    for (size_t i = 0; i < things->count; i++)
        for (int row = 0; row < db_result_rows(names); row++)
            if (things->items[i].kind == INSTALL_TRIGGER &&
                span_is(db_result_value(names, row, 0), things->items[i].name))
                things->items[i].unsound = true;
}

static bool state_ask(const struct survey *survey, struct install_state *state)
{
    struct db_result *meta CLEANUP(result_free) = NULL;
    struct db_result *children CLEANUP(result_free) = NULL;
    struct db_result *unsound CLEANUP(result_free) = NULL;
    bool failed = false;
    if (!ask(survey, state_sql, NULL, &meta) || !things_ask(survey, things_sql, &state->things))
        return false;
    /* No row: made by no finished install; 0 would mean that there is nothing. */
    state->version = db_result_rows(meta) ? atoi(db_result_value(meta, 0, 0).data) : -1;
    state->daemon = db_result_rows(meta) ? text_at(survey, meta, 0, 1, &failed) : NULL;
    state->granted = state->daemon && true_at(meta, 0, 2);
    state->closed = db_result_rows(meta) && true_at(meta, 0, 3);
    if (failed)
        return memory(survey);
    if (state->version != INSTALL_VERSION)
        return true;
    if (!ask(survey, children_sql, NULL, &children) || !ask(survey, unsound_sql, NULL, &unsound))
        return false;
    state->unknown_children = true_at(children, 0, 0);
    unsound_mark(unsound, &state->things);
    return true;
}

static bool strangers_ask(const struct survey *survey, const char **ret_strangers)
{
    struct db_result *result CLEANUP(result_free) = NULL;
    bool failed = false;
    if (!ask(survey, strangers_sql, NULL, &result))
        return false;
    *ret_strangers = text_at(survey, result, 0, 0, &failed);
    return !failed || memory(survey);
}

bool install_survey_place(struct db_connection *connection, struct arena *arena,
                          struct install_place *ret_place, struct db_failure *failure)
{
    const struct survey survey = {connection, arena, failure};
    struct db_result *result CLEANUP(result_free) = NULL;
    struct install_place place = {0};
    bool failed = false;
    if (!ask(&survey, place_sql, NULL, &result))
        return false;
    place.role = text_at(&survey, result, 0, PLACE_ROLE, &failed);
    place.database = text_at(&survey, result, 0, PLACE_DATABASE, &failed);
    place.superuser = true_at(result, 0, PLACE_SUPERUSER);
    place.may_create = true_at(result, 0, PLACE_CREATE);
    place.foreign = true_at(result, 0, PLACE_SCHEMA) && !true_at(result, 0, PLACE_META);
    if (failed)
        return memory(&survey);
    if (true_at(result, 0, PLACE_META)
            ? !state_ask(&survey, &place.state) || !strangers_ask(&survey, &place.strangers)
            : !things_ask(&survey, left_sql, &place.state.things))
        return false;
    *ret_place = place;
    return true;
}

/* The tables asked about, each with its number, and all their partitions. */
#define ASKED                                                                                      \
    "WITH RECURSIVE asked AS ("                                                                    \
    " SELECT q.i, c.oid FROM json_to_recordset($1::json) AS q (i int, schema text, name text)"     \
    " JOIN pg_catalog.pg_namespace AS n ON n.nspname = q.schema"                                   \
    " JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = q.name) "

static const char tables_sql[] =
    ASKED ", member AS (SELECT i, oid, true AS root FROM asked"
          " UNION SELECT m.i, h.inhrelid, false FROM member AS m"
          "  JOIN pg_catalog.pg_inherits AS h ON h.inhparent = m.oid"
          "  JOIN pg_catalog.pg_class AS c ON c.oid = h.inhrelid AND c.relispartition) "
          "SELECT m.i, m.root, n.nspname, c.relname, c.relkind,"
          " has_table_privilege(c.oid, 'TRIGGER'), pg_get_userbyid(c.relowner),"
          " EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = c.oid"
          "  AND t.tgtype & 19 = 19 AND NOT t.tgisinternal) "
          "FROM member AS m JOIN pg_catalog.pg_class AS c ON c.oid = m.oid"
          " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
          "ORDER BY m.i, m.root DESC, 3, 4";

enum {
    TABLE_NUMBER,
    TABLE_ROOT,
    TABLE_SCHEMA,
    TABLE_NAME,
    TABLE_KIND,
    TABLE_ALLOWED,
    TABLE_OWNER,
    TABLE_REWRITES,
};

/* Equal by `=` is equal in every byte: no collation, scale or sign of zero hides a difference. */
static const char columns_sql[] =
    ASKED "SELECT k.i, a.attname, t.typtype = 'e' OR (t.oid = ANY ('{bool,\"char\",int2,int4,int8,"
          "oid,uuid,date,time,timestamp,timestamptz,bytea,name,text,varchar}'::regtype[])"
          " AND coalesce((SELECT l.collisdeterministic FROM pg_catalog.pg_collation AS l"
          "  WHERE l.oid = a.attcollation), true)),"
          " CASE WHEN t.oid = ANY ('{bool,int2,int4,int8,uuid}'::regtype[]) THEN t.typname END "
          "FROM asked AS k JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.oid AND a.attnum > 0"
          " AND NOT a.attisdropped JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid "
          "ORDER BY k.i, a.attnum";

static bool same_table(const struct watch *left, const struct watch *right)
{
    return strcmp(left->schema, right->schema) == 0 && strcmp(left->table, right->table) == 0;
}

static void append_question(const struct watch *watches, size_t count, struct bytes *out)
{
    size_t number = 0;
    bytes_append_byte(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i && same_table(&watches[i - 1], &watches[i]))
            continue;
        bytes_append_format(out, "%s{\"i\":%zu,\"schema\":", number ? "," : "", number);
        bytes_append_json(out, span_of(watches[i].schema));
        bytes_append_text(out, ",\"name\":");
        bytes_append_json(out, span_of(watches[i].table));
        bytes_append_byte(out, '}');
        number++;
    }
    bytes_append_byte(out, ']');
}

static size_t number_at(const struct db_result *result, int row)
{
    return strtoul(db_result_value(result, row, TABLE_NUMBER).data, NULL, 10);
}

static bool columns_take(const struct survey *survey, const struct db_result *result, size_t number,
                         struct install_table *table, int *row)
{
    int rows = db_result_rows(result);
    bool failed = false;
    while (*row < rows && number_at(result, *row) < number)
        ++*row;
    int first = *row;
    while (*row < rows && number_at(result, *row) == number)
        ++*row;
    table->column_count = (size_t)(*row - first);
    struct install_column *columns =
        arena_array(survey->arena, table->column_count, sizeof *columns);
    if (!columns)
        return memory(survey);
    for (int i = first; i < *row; i++)
        columns[i - first] =
            (struct install_column){.name = text_at(survey, result, i, 1, &failed),
                                    .plain = true_at(result, i, 2),
                                    .brief = text_at(survey, result, i, 3, &failed)};
    table->columns = columns;
    return !failed || memory(survey);
}

/* One table's rows of the two answers: the table, its partitions; its columns. */
struct answers {
    struct db_result *tables, *columns;
    int table_row, column_row;
};

static bool table_take(const struct survey *survey, struct answers *answers,
                       struct install_table *ret_table)
{
    struct db_result *result = answers->tables;
    size_t number = number_at(result, answers->table_row);
    int first = answers->table_row, end = first;
    bool failed = false;
    while (end < db_result_rows(result) && number_at(result, end) == number)
        end++;
    struct install_table *all = arena_array(survey->arena, (size_t)(end - first), sizeof *all);
    if (!all)
        return memory(survey);
    for (int i = first; i < end; i++)
        all[i - first] = (struct install_table){
            .schema = text_at(survey, result, i, TABLE_SCHEMA, &failed),
            .table = text_at(survey, result, i, TABLE_NAME, &failed),
            .kind = db_result_value(result, i, TABLE_KIND).data[0],
            .allowed = true_at(result, i, TABLE_ALLOWED),
            .rewrites = true_at(result, i, TABLE_REWRITES),
            .owner = text_at(survey, result, i, TABLE_OWNER, &failed),
        };
    *ret_table = all[0];
    ret_table->partitions = all + 1;
    ret_table->partition_count = (size_t)(end - first) - 1;
    answers->table_row = end;
    if (failed)
        return memory(survey);
    return columns_take(survey, answers->columns, number, ret_table, &answers->column_row);
}

bool install_survey_tables(struct db_connection *connection, const struct watch *watches,
                           size_t count, struct arena *arena, struct install_table **ret_tables,
                           size_t *ret_count, struct db_failure *failure)
{
    const struct survey survey = {connection, arena, failure};
    struct bytes question CLEANUP(bytes_free) = BYTES_EMPTY;
    struct db_result *table_rows CLEANUP(result_free) = NULL;
    struct db_result *column_rows CLEANUP(result_free) = NULL;
    append_question(watches, count, &question);
    if (question.failed)
        return memory(&survey);
    if (!ask(&survey, tables_sql, bytes_text(&question), &table_rows) ||
        !ask(&survey, columns_sql, bytes_text(&question), &column_rows))
        return false;
    struct answers answers = {.tables = table_rows, .columns = column_rows};
    struct install_table *tables =
        arena_array(arena, (size_t)db_result_rows(table_rows), sizeof *tables);
    size_t tables_count = 0;
    if (!tables)
        return memory(&survey);
    while (answers.table_row < db_result_rows(table_rows))
        if (!table_take(&survey, &answers, &tables[tables_count++]))
            return false;
    *ret_tables = tables;
    *ret_count = tables_count;
    return true;
}

/* Of others' sessions only who may (pg_read_all_stats) sees since when and with which query. */
static const char holder_sql[] =
    "SELECT CASE WHEN l.pid IS NULL THEN format('the prepared transaction %L since %s', p.gid,"
    "  date_trunc('second', p.prepared))"
    " ELSE concat('process ', l.pid,"
    "  ' (' || nullif(concat_ws(', ', nullif(a.application_name, ''), a.usename), '') || ')',"
    "  ' since ' || date_trunc('second', a.xact_start),"
    "  CASE WHEN a.xact_start IS NOT NULL"
    "   THEN ': ' || regexp_replace(left(a.query, 100), '\\s+', ' ', 'g') END) END "
    "FROM pg_catalog.pg_locks AS l"
    " LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid"
    " LEFT JOIN pg_catalog.pg_prepared_xacts AS p ON l.pid IS NULL"
    "  AND p.transaction::text = split_part(l.virtualtransaction, '/', 2) "
    "WHERE l.locktype = 'relation' AND l.pid IS DISTINCT FROM pg_backend_pid()"
    " AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d"
    "  WHERE d.datname = current_database())"
    " AND (l.relation = $1::regclass"
    "  OR l.relation IN (SELECT t.relid FROM pg_partition_tree($1::regclass) AS t))"
    " AND ($2::boolean OR l.mode NOT IN ('AccessShareLock', 'RowShareLock')) "
    "ORDER BY NOT l.granted, l.mode IN ('AccessShareLock', 'RowShareLock'), coalesce(a.xact_start, "
    "p.prepared) "
    "LIMIT 1";

bool install_survey_holder(struct db_connection *connection, const char *table, bool readers,
                           struct arena *arena, const char **ret_text, struct db_failure *failure)
{
    const struct survey survey = {connection, arena, failure};
    const char *const values[] = {table, readers ? "t" : "f"};
    struct db_result *result CLEANUP(result_free) = NULL;
    bool failed = false;
    if (!db_execute(connection, holder_sql, values, 2, INSTALL_TIMEOUT, &result, failure))
        return false;
    *ret_text = db_result_rows(result) ? text_at(&survey, result, 0, 0, &failed) : NULL;
    return !failed || memory(&survey);
}
