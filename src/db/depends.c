#include "db/depends.h"

#include <stdlib.h>
#include <string.h>

#include "cache/entry.h"
#include "db/functions.h"
#include "db/literals.h"
#include "db/narrow.h"
#include "db/reads.h"

/* What the small functions below share. */
struct making {
    const struct narrow_question *question;
    struct reads reads;
    struct narrowing *narrowings;
    size_t narrowing_count;
    struct bytes items;    /* struct dependency */
    struct bytes narrowed; /* struct db_shape_tag */
    struct bytes hazards;  /* struct hazard_note */
    struct depends *depends;
};

static bool memory(const struct making *making)
{
    return db_failure_set(making->question->failure, DB_FAILURE_MEMORY, "out of memory");
}

static bool narrows(const struct narrowing *narrowing, const struct read_table *table)
{
    return narrowing->table == table->oid || narrowing->table == table->root;
}

static bool narrows_by(const struct narrowing *narrowing, const char *column)
{
    bool any = false;
    for (size_t i = 0; i < narrowing->term_count; i++)
        any = any || strcmp(narrowing->terms[i].column, column) == 0;
    return any;
}

/*
 * The columns that are read, but for those which a line is for; and those that narrow, read or not,
 * for their changes move rows.
 */
static bool column_counts(const struct making *making, const struct read_table *table,
                          const struct read_column *column)
{
    bool counts = column->read, moves = false;
    for (size_t i = 0; i < making->narrowing_count; i++) {
        const struct narrowing *narrowing = &making->narrowings[i];
        if (!narrows(narrowing, table))
            continue;
        moves = moves || narrows_by(narrowing, column->name);
        counts =
            counts && !watch_has_name(narrowing->columns, narrowing->column_count, column->name);
    }
    return counts || moves;
}

static bool columns_fill(const struct making *making, const struct read_table *table,
                         struct watch *watch)
{
    const char **columns =
        arena_array(making->question->arena, table->column_count, sizeof *columns);
    if (!columns)
        return memory(making);
    for (size_t i = 0; i < table->column_count; i++)
        if (column_counts(making, table, &table->columns[i]))
            columns[watch->column_count++] = table->columns[i].name;
    watch->columns = columns;
    return true;
}

static void item_add(struct making *making, const struct read_table *table,
                     const struct watch *watch, const char *note, enum dependency_part part)
{
    const struct dependency item = {
        .watch = *watch, .kind = table->kind, .note = note, .part = part};
    bytes_append(&making->items, &item, sizeof item);
}

/*
 * The watches whose tags an answer may get in place of the narrowed ones: by the columns before one
 * whose parameter may be NULL, and the whole of what the line is for.
 */
static void spares_add(struct making *making, const struct narrowing *narrowing,
                       const struct read_table *table, const struct watch *watch)
{
    bool whole = false;
    for (size_t i = 0; i < narrowing->term_count; i++) {
        struct watch prefix = *watch;
        prefix.narrow_count = i;
        whole = whole || !narrowing->terms[i].parameter;
        if (i && narrowing->terms[i].optional)
            item_add(making, table, &prefix, NULL, DEPENDENCY_PREFIX);
    }
    struct watch all = *watch;
    all.narrow_count = 0;
    if (whole || narrowing->terms[0].optional)
        item_add(making, table, &all, NULL, DEPENDENCY_SPARE);
}

/* `whole` is what the line is for. */
static bool narrowed_add(struct making *making, const struct narrowing *narrowing,
                         const struct read_table *table, const struct watch *whole)
{
    struct arena *arena = making->question->arena;
    struct watch *watch = arena_alloc(arena, sizeof *watch);
    const char **narrow = arena_array(arena, narrowing->term_count, sizeof *narrow);
    if (!watch || !narrow)
        return memory(making);
    *watch = *whole;
    watch->narrow = narrow;
    watch->narrow_count = narrowing->term_count;
    struct db_shape_tag tag = {.watch = watch};
    for (size_t i = 0; i < narrowing->term_count; i++) {
        const struct narrow_term *term = &narrowing->terms[i];
        narrow[i] = term->column;
        tag.values[i] = (struct db_shape_value){.parameter = term->parameter,
                                                .optional = term->optional,
                                                .column = term->result_column,
                                                .brief = term->brief};
    }
    bytes_append(&making->narrowed, &tag, sizeof tag);
    item_add(making, table, watch, narrowing->note, DEPENDENCY_OWN);
    spares_add(making, narrowing, table, watch);
    return true;
}

/* The lines for some columns' changes, each with these columns alone, and the others with the rest.
 */
static bool table_add(struct making *making, const struct read_table *table)
{
    struct watch whole = {.schema = table->schema, .table = table->name};
    bool narrow = false;
    if (!columns_fill(making, table, &whole))
        return false;
    for (size_t i = 0; i < making->narrowing_count; i++) {
        const struct narrowing *narrowing = &making->narrowings[i];
        struct watch watch = whole;
        if (!narrows(narrowing, table))
            continue;
        if (narrowing->column_count) {
            watch.columns = narrowing->columns;
            watch.column_count = narrowing->column_count;
            watch.updates = true;
        }
        if (!narrowed_add(making, narrowing, table, &watch))
            return false;
        narrow = narrow || !watch.updates;
    }
    if (!narrow)
        item_add(making, table, &whole, NULL, DEPENDENCY_OWN);
    return true;
}

static int by_watch(const void *left, const void *right)
{
    const struct dependency *a = left, *b = right;
    return watch_compare(&a->watch, &b->watch);
}

/* One watch may narrow by several values, and be one line's own and another's spare. */
static bool item_merge(const struct making *making, struct dependency *item,
                       const struct dependency *other)
{
    if (!item->note)
        item->note = other->note;
    else if (other->note)
        item->note = arena_format(making->question->arena, "%s, %s", item->note, other->note);
    if (other->part < item->part)
        item->part = other->part;
    return item->note || !other->note || memory(making);
}

static bool items_merge(struct making *making)
{
    struct dependency *items = making->depends->items;
    size_t kept = 0;
    for (size_t i = 0; i < making->depends->count; i++) {
        if (!kept || watch_compare(&items[kept - 1].watch, &items[i].watch) != 0)
            items[kept++] = items[i];
        else if (!item_merge(making, &items[kept - 1], &items[i]))
            return false;
    }
    making->depends->count = kept;
    return true;
}

/* An arena's copy of what was gathered; *ret_count from its size. Null: memory. */
static void *gathered(const struct making *making, const struct bytes *bytes, size_t size,
                      size_t *ret_count)
{
    void *copy = bytes->failed ? NULL : arena_alloc(making->question->arena, bytes->size);
    if (copy && bytes->size)
        memcpy(copy, bytes->data, bytes->size);
    *ret_count = bytes->size / size;
    return copy;
}

static bool items_make(struct making *making)
{
    struct depends *depends = making->depends;
    for (size_t i = 0; i < making->reads.table_count; i++)
        if (!table_add(making, &making->reads.tables[i]))
            return false;
    depends->items = gathered(making, &making->items, sizeof *depends->items, &depends->count);
    depends->narrowed =
        gathered(making, &making->narrowed, sizeof *depends->narrowed, &depends->narrowed_count);
    if (!depends->items || !depends->narrowed)
        return memory(making);
    qsort(depends->items, depends->count, sizeof *depends->items, by_watch);
    return items_merge(making);
}

static bool tag_add(struct making *making, const struct bytes *text)
{
    struct span tag = arena_span(making->question->arena, bytes_span(text));
    if (text->failed || !tag.data)
        return memory(making);
    making->depends->tags[making->depends->tag_count++] = tag;
    return true;
}

static bool tags_make(struct making *making)
{
    struct depends *depends = making->depends;
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    depends->tags = arena_array(making->question->arena, depends->count + 1, sizeof *depends->tags);
    if (!depends->tags)
        return memory(making);
    bytes_append_byte(&text, '*');
    bool good = tag_add(making, &text);
    for (size_t i = 0; good && i < depends->count; i++) {
        const struct dependency *item = &depends->items[i];
        if (item->part == DEPENDENCY_SPARE)
            continue;
        bytes_clear(&text);
        watch_append_own_tag(&item->watch, &text);
        good = tag_add(making, &text);
    }
    return good;
}

/* What an entry's limit leaves for values is shared by the lines that narrow by the result. */
static void limits_set(struct making *making)
{
    struct depends *depends = making->depends;
    size_t fixed = depends->tag_count + making->question->route->tag_count + 1 /* the URI's */;
    size_t lines = 0;
    for (size_t i = 0; i < depends->narrowed_count; i++)
        if (db_shape_by_rows(&depends->narrowed[i], depends->narrowed[i].watch->narrow_count))
            lines++;
        else
            fixed++;
    size_t share = lines && fixed < ENTRY_TAGS_MAX ? (ENTRY_TAGS_MAX - fixed) / lines : 0;
    share = share < 2 ? 1 : share - 1; /* NULL is one more */
    for (size_t i = 0; i < depends->narrowed_count; i++)
        depends->narrowed[i].most = (unsigned)share;
}

static bool append_watch_json(struct bytes *out, size_t index, const struct watch *watch)
{
    struct bytes tag CLEANUP(bytes_free) = BYTES_EMPTY;
    watch_append_own_tag(watch, &tag);
    bytes_append_format(out, "%s{\"i\":%zu,\"tag\":", index ? "," : "", index);
    bytes_append_json(out, bytes_span(&tag));
    bytes_append_byte(out, '}');
    return !tag.failed;
}

/* A watch's tag tells all of it. */
static const char unwatched_sql[] =
    "SELECT q.i FROM pg_catalog.json_to_recordset($1::json) AS q (i int, tag text)"
    " WHERE NOT EXISTS (SELECT FROM larder.watch AS w WHERE w.tag = q.tag) ORDER BY 1";

static const char installed_sql[] =
    "SELECT 1 FROM pg_catalog.pg_class AS c WHERE c.oid = pg_catalog.to_regclass('larder.watch')"
    " AND pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE')"
    " AND pg_catalog.has_table_privilege(c.oid, 'SELECT')";

static bool execute(const struct making *making, const char *sql, const char *const *values,
                    int count, struct db_result **ret_result)
{
    return db_ask(making->question->connection, sql, values, count, TABLES_TIMEOUT, ret_result,
                  making->question->failure);
}

static bool unwatched_note(struct making *making, size_t index)
{
    const struct watch *watch = &making->depends->items[index].watch;
    struct bytes name CLEANUP(bytes_free) = BYTES_EMPTY;
    watch_append_identifier(watch->schema, &name);
    bytes_append_byte(&name, '.');
    watch_append_identifier(watch->table, &name);
    const char *text = name.failed ? NULL : arena_text(making->question->arena, bytes_span(&name));
    if (!text)
        return memory(making);
    hazard_add(&making->hazards, HAZARD_UNWATCHED, text);
    making->depends->watched = false;
    return true;
}

static bool all_unwatched(struct making *making)
{
    for (size_t i = 0; i < making->depends->count; i++)
        if (making->depends->items[i].kind != 'f' && !unwatched_note(making, i))
            return false;
    return true;
}

static bool unwatched_take(struct making *making, const struct db_result *result)
{
    for (int row = 0; row < db_result_rows(result); row++) {
        size_t index = strtoul(db_result_value(result, row, 0).data, NULL, 10);
        bool ours = index < making->depends->count && making->depends->items[index].kind != 'f';
        if (ours && !unwatched_note(making, index))
            return false;
    }
    return true;
}

static bool unwatched_ask(struct making *making)
{
    struct bytes json CLEANUP(bytes_free) = BYTES_EMPTY;
    struct db_result *result = NULL;
    bytes_append_byte(&json, '[');
    for (size_t i = 0; i < making->depends->count; i++)
        if (!append_watch_json(&json, i, &making->depends->items[i].watch))
            return memory(making);
    bytes_append_byte(&json, ']');
    const char *const values[] = {bytes_text(&json)};
    if (json.failed)
        return memory(making);
    if (!execute(making, unwatched_sql, values, 1, &result))
        return making->question->failure->sqlstate[0] ? all_unwatched(making) : false;
    bool taken = unwatched_take(making, result);
    db_result_free(result);
    return taken;
}

/* larder.watch lists every watch that `larder install` made triggers for. */
static bool watched_ask(struct making *making)
{
    struct db_result *result = NULL;
    making->depends->watched = true;
    if (!making->depends->count)
        return true;
    if (!execute(making, installed_sql, NULL, 0, &result))
        return false;
    bool installed = db_result_rows(result) > 0;
    db_result_free(result);
    return installed ? unwatched_ask(making) : all_unwatched(making);
}

/* With rls the claims, which current_setting gives, are part of the key. */
static bool known_to_key(const struct route *route, const struct hazard_note *note)
{
    return route->auth.rls && note->kind == HAZARD_SETTING &&
           strcmp(note->name, "current_setting()") == 0;
}

/* Whoever writes @tags or @depends has thought of what a function hides. */
static void hazards_take(struct making *making)
{
    const struct route *route = making->question->route;
    bool cared = route->tag_count || route->depend_count;
    for (size_t i = 0; i < making->reads.hazard_count; i++) {
        const struct hazard_note *note = &making->reads.hazards[i];
        if (!known_to_key(route, note) && (note->kind != HAZARD_FUNCTION || !cared))
            hazard_add(&making->hazards, note->kind, note->name);
        if (note->kind == HAZARD_FOREIGN || note->kind == HAZARD_CATALOG)
            making->depends->watched = false;
    }
}

static bool hazards_keep(struct making *making)
{
    struct depends *depends = making->depends;
    depends->hazards =
        gathered(making, &making->hazards, sizeof *depends->hazards, &depends->hazard_count);
    return depends->hazards ? true : memory(making);
}

static bool make_known(struct making *making)
{
    if (!narrow_all(making->question, &making->reads, &making->narrowings,
                    &making->narrowing_count))
        return false;
    if (making->question->faults->count)
        return true;
    if (!items_make(making) || !tags_make(making) || !watched_ask(making))
        return false;
    limits_set(making);
    hazards_take(making);
    return true;
}

static bool make(struct making *making)
{
    if (making->reads.refused)
        hazard_add(&making->hazards, HAZARD_REFUSED, making->reads.refused);
    bool made = making->reads.refused ? tags_make(making) : make_known(making);
    return made && hazards_keep(making);
}

bool depends_ask(struct db_connection *connection, const struct route *route, const uint32_t *types,
                 const struct db_description *description, struct arena *arena,
                 struct fault_list *faults, const struct depends **ret_depends,
                 struct db_failure *failure)
{
    const struct narrow_question question = {.connection = connection,
                                             .route = route,
                                             .types = types,
                                             .description = description,
                                             .arena = arena,
                                             .faults = faults,
                                             .failure = failure};
    struct making making = {.question = &question,
                            .depends = arena_alloc(arena, sizeof *making.depends)};
    if (!making.depends)
        return memory(&making);
    bool done = literals_judge(connection, route, types, arena, &making.hazards, failure) &&
                reads_begin(connection, route, types, arena, &making.reads, failure) &&
                make(&making);
    bytes_free(&making.items);
    bytes_free(&making.narrowed);
    bytes_free(&making.hazards);
    bool ended = db_usable(connection) && reads_end(connection, done ? failure : NULL);
    if (done && ended)
        *ret_depends = making.depends;
    return done && ended;
}
