#include "db/install.h"

#include <stdlib.h>
#include <string.h>

#include "cache/bump.h"
#include "db/install_schema.h"
#include "db/install_trigger.h"
#include "db/install_value.h"

const char install_begin[] =
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;\n"
    "SET LOCAL search_path = pg_catalog, pg_temp;\n"
    "SET LOCAL statement_timeout = 0;\n"
    "SET LOCAL idle_in_transaction_session_timeout = 0;\n"
    "-- Whoever waits for a lock here makes all who come after wait too.\n"
    "SET LOCAL lock_timeout = '3s';\n"
    "-- One install at a time.\n"
    "SELECT pg_advisory_xact_lock(hashtext('larder'), hashtext('install'));\n";

const char install_commit[] = "COMMIT;\n";

/* In words, for the tag alone tells all. What only updates strike never reads as one column. */
static void append_narrow(const struct watch *watch, struct bytes *sql)
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    for (size_t i = 0; i < watch->narrow_count; i++) {
        bytes_append_text(&text, i ? ", " : "");
        bytes_append_text(&text, watch->narrow[i]);
    }
    bytes_append_text(&text, watch->updates ? " (updates)" : "");
    if (text.size)
        watch_append_literal(bytes_text(&text), sql);
    else
        bytes_append_text(sql, "NULL");
    sql->failed = sql->failed || text.failed;
}

static bool want_watch(const struct install_making *making, const struct watch *watch)
{
    struct bytes tag CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes sql CLEANUP(bytes_free) = BYTES_EMPTY;
    watch_append_own_tag(watch, &tag);
    bytes_append_text(
        &sql, "INSERT INTO larder.watch (schema, \"table\", columns, narrow, tag) VALUES (");
    watch_append_literal(watch->schema, &sql);
    bytes_append_text(&sql, ", ");
    watch_append_literal(watch->table, &sql);
    bytes_append_text(&sql, ", ARRAY[");
    for (size_t i = 0; i < watch->column_count; i++) {
        bytes_append_text(&sql, i ? ", " : "");
        watch_append_literal(watch->columns[i], &sql);
    }
    bytes_append_text(&sql, "]::text[], ");
    append_narrow(watch, &sql);
    bytes_append_text(&sql, ", ");
    watch_append_literal(bytes_text(&tag), &sql);
    bytes_append_text(&sql, ");\n");
    return !tag.failed &&
           install_want(making, INSTALL_WATCH, making->table, bytes_text(&tag), &sql);
}

bool install_want_table(const struct install_table *table, const struct watch *watches,
                        size_t count, const struct install_settings *settings, struct arena *arena,
                        struct bytes *things)
{
    const struct install_making making = {.table = table,
                                          .watches = watches,
                                          .count = count,
                                          .settings = settings,
                                          .arena = arena,
                                          .things = things};
    if (table->kind == 'f')
        return true;
    if (table->kind != 'm' && !install_want_triggers(&making))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!want_watch(&making, &watches[i]))
            return false;
    return true;
}

bool install_want_event_trigger(const struct install_settings *settings, struct bytes *things)
{
    const struct install_thing plain = {
        .kind = INSTALL_EVENT_TRIGGER,
        .schema = "",
        .table = "",
        .name = "larder_ddl",
        .sql = "CREATE EVENT TRIGGER larder_ddl ON ddl_command_end "
               "EXECUTE FUNCTION larder.on_ddl();\n",
    };
    const struct install_thing always = {
        .kind = INSTALL_EVENT_TRIGGER,
        .schema = "",
        .table = "",
        .name = "larder_ddl_always",
        .sql = "CREATE EVENT TRIGGER larder_ddl_always ON ddl_command_end "
               "EXECUTE FUNCTION larder.on_ddl();\n"
               "ALTER EVENT TRIGGER larder_ddl_always ENABLE ALWAYS;\n",
    };
    if (settings->event_trigger)
        bytes_append(things, settings->always ? &always : &plain, sizeof plain);
    return !things->failed;
}

/* By table, so that locks are taken in one order; then by kind and name. */
static int thing_compare(const void *left_pointer, const void *right_pointer)
{
    const struct install_thing *left = left_pointer, *right = right_pointer;
    int order = strcmp(left->schema, right->schema);
    if (!order)
        order = strcmp(left->table, right->table);
    if (!order)
        order = (left->kind > right->kind) - (left->kind < right->kind);
    return order ? order : strcmp(left->name, right->name);
}

/* Sorts; the same thing twice (two watches with one function) becomes one. */
static void things_sort(struct install_things *things)
{
    size_t kept = 0;
    if (things->count)
        qsort(things->items, things->count, sizeof *things->items, thing_compare);
    for (size_t i = 0; i < things->count; i++)
        if (!kept || thing_compare(&things->items[kept - 1], &things->items[i]) != 0)
            things->items[kept++] = things->items[i];
    things->count = kept;
}

struct planning {
    struct arena *arena;
    struct bytes steps;   /* struct install_step */
    struct bytes changes; /* struct install_change */
    bool failed;
};

/* To drop a trigger takes ACCESS EXCLUSIVE, to create one SHARE ROW EXCLUSIVE. */
static void step_add(struct planning *planning, const struct install_thing *thing, bool drops,
                     const struct bytes *sql)
{
    struct bytes name CLEANUP(bytes_free) = BYTES_EMPTY;
    bool table = thing && thing->kind == INSTALL_TRIGGER;
    if (table)
        install_append_table(thing->schema, thing->table, &name);
    struct install_step step = {
        .sql = sql->failed ? NULL : arena_text(planning->arena, bytes_span(sql)),
        .table = table ? arena_text(planning->arena, bytes_span(&name)) : NULL,
        .alone = table && drops,
    };
    bytes_append(&planning->steps, &step, sizeof step);
    planning->failed = planning->failed || !step.sql || (table && !step.table) || name.failed;
}

static void text_step_add(struct planning *planning, const char *text)
{
    struct bytes sql CLEANUP(bytes_free) = BYTES_EMPTY;
    bytes_append_text(&sql, text);
    step_add(planning, NULL, false, &sql);
}

static void change_add(struct planning *planning, const struct install_thing *thing,
                       enum install_verb verb)
{
    const struct install_change change = {.thing = thing, .verb = verb};
    bytes_append(&planning->changes, &change, sizeof change);
}

/*
 * Responders may still have routes that need a watch which goes: what they keep by it is struck,
 * and they learn that they won't hear of its changes any more.
 */
static void append_drop(const struct install_thing *thing, struct bytes *sql)
{
    switch (thing->kind) {
    case INSTALL_TRIGGER:
        bytes_append_format(sql, "DROP TRIGGER %s ON ", thing->name);
        install_append_table(thing->schema, thing->table, sql);
        break;
    case INSTALL_FUNCTION:
        bytes_append_format(sql, "DROP FUNCTION larder.%s", thing->name);
        break;
    case INSTALL_EVENT_TRIGGER:
        bytes_append_format(sql, "DROP EVENT TRIGGER %s", thing->name);
        break;
    case INSTALL_WATCH:
    case INSTALL_KIND_COUNT:
        bytes_append_text(sql, "WITH gone AS (DELETE FROM larder.watch WHERE tag = ");
        watch_append_literal(thing->name, sql);
        bytes_append_text(sql,
                          " RETURNING tag)\n    INSERT INTO larder.outbox (tag)"
                          " SELECT tag FROM gone UNION ALL SELECT '" CACHE_TAG_DEFINITIONS "'");
        break;
    }
    bytes_append_text(sql, ";\n");
}

/* What is dropped before what it needs, and made after. */
static const enum install_kind drop_order[] = {INSTALL_EVENT_TRIGGER, INSTALL_WATCH,
                                               INSTALL_TRIGGER, INSTALL_FUNCTION};
static const enum install_kind add_order[] = {INSTALL_FUNCTION, INSTALL_TRIGGER, INSTALL_WATCH,
                                              INSTALL_EVENT_TRIGGER};

static void steps_add(struct planning *planning, enum install_verb verb, enum install_kind kind)
{
    const struct install_change *changes = (const void *)planning->changes.data;
    size_t count = planning->changes.size / sizeof *changes;
    for (size_t i = 0; i < count; i++) {
        struct bytes sql CLEANUP(bytes_free) = BYTES_EMPTY;
        if (changes[i].verb != verb || changes[i].thing->kind != kind)
            continue;
        if (verb == INSTALL_DROP)
            append_drop(changes[i].thing, &sql);
        else
            bytes_append_text(&sql, changes[i].thing->sql);
        step_add(planning, changes[i].thing, verb == INSTALL_DROP, &sql);
    }
}

static void change_both(struct planning *planning, const struct install_thing *there,
                        const struct install_thing *wanted)
{
    if (there->unsound)
        change_add(planning, there, INSTALL_DROP);
    change_add(planning, wanted, there->unsound ? INSTALL_ADD : INSTALL_KEEP);
}

/* A merge of two sorted lists. */
static void changes_find(struct planning *planning, const struct install_things *there,
                         const struct install_things *wanted)
{
    size_t i = 0, j = 0;
    while (i < there->count || j < wanted->count) {
        int order = i == there->count    ? 1
                    : j == wanted->count ? -1
                                         : thing_compare(&there->items[i], &wanted->items[j]);
        if (order < 0)
            change_add(planning, &there->items[i++], INSTALL_DROP);
        else if (order > 0)
            change_add(planning, &wanted->items[j++], INSTALL_ADD);
        else
            change_both(planning, &there->items[i++], &wanted->items[j++]);
    }
}

static void grant_add(struct planning *planning, const char *role)
{
    struct bytes sql CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes name CLEANUP(bytes_free) = BYTES_EMPTY;
    watch_append_identifier(role, &name);
    bytes_append_format(
        &sql,
        "GRANT SELECT, INSERT, UPDATE, DELETE ON larder.outbox, larder.marker TO %s;\n"
        "GRANT SELECT, UPDATE ON SEQUENCE larder.asleep TO %s;\n"
        "GRANT EXECUTE ON FUNCTION larder.changed_definitions, larder.struck, larder.bumped,"
        " larder.once, larder.once_done, larder.once_forget, larder.jobs_begin, larder.jobs_done,"
        " larder.jobs_forget, larder.leave, larder.behind_begin, larder.behind_done TO %s;\n"
        "UPDATE larder.meta SET daemon = ",
        bytes_text(&name), bytes_text(&name), bytes_text(&name));
    watch_append_literal(role, &sql);
    bytes_append_text(&sql, ";\n");
    sql.failed = sql.failed || name.failed;
    step_add(planning, NULL, false, &sql);
}

/* Only what is there by then, which REVOKE … ON ALL FUNCTIONS took from PUBLIC. */
static void open_add(struct planning *planning)
{
    text_step_add(planning,
                  "DO $block$\n"
                  "DECLARE\n"
                  "    called text;\n"
                  "BEGIN\n"
                  "    FOR called IN SELECT p.oid::regprocedure FROM pg_proc AS p\n"
                  "        WHERE p.pronamespace = 'larder'::regnamespace"
                  " AND " INSTALL_VALUE_FUNCTION "\n"
                  "    LOOP\n"
                  "        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', called);\n"
                  "    END LOOP;\n"
                  "END\n"
                  "$block$;\n");
}

static void schema_add(struct planning *planning)
{
    struct bytes sql CLEANUP(bytes_free) = BYTES_EMPTY;
    bytes_append_text(&sql, install_schema);
    bytes_append_format(&sql, "INSERT INTO larder.meta (version) VALUES (%d);\n", INSTALL_VERSION);
    step_add(planning, NULL, false, &sql);
}

static const struct install_plan *plan_end(struct planning *planning)
{
    struct install_plan *plan = arena_alloc(planning->arena, sizeof *plan);
    struct bytes *steps = &planning->steps, *changes = &planning->changes;
    bool good = plan && !planning->failed && !steps->failed && !changes->failed;
    if (good) {
        plan->step_count = steps->size / sizeof *plan->steps;
        plan->change_count = changes->size / sizeof *plan->changes;
        plan->steps = (void *)arena_span(planning->arena, bytes_span(steps)).data;
        plan->changes = (void *)arena_span(planning->arena, bytes_span(changes)).data;
        good = plan->steps && plan->changes;
    }
    bytes_free(steps);
    bytes_free(changes);
    return good ? plan : NULL;
}

/* All there is, with the schema; larder's own tables and functions go with that. */
static void removal_add(struct planning *planning, const struct install_state *state,
                        const struct install_things *there)
{
    const struct install_things none = {0};
    changes_find(planning, there, &none);
    steps_add(planning, INSTALL_DROP, INSTALL_EVENT_TRIGGER);
    steps_add(planning, INSTALL_DROP, INSTALL_TRIGGER);
    if (state->version)
        text_step_add(planning, "DROP SCHEMA larder CASCADE;\n");
}

/* What outlives the schema's versions. */
static void kept_removal_add(struct planning *planning)
{
    text_step_add(planning, "DROP TABLE IF EXISTS larder_kept.request, larder_kept.job,"
                            " larder_kept.behind;\n"
                            "DROP SCHEMA IF EXISTS larder_kept;\n");
}

static void difference_add(struct planning *planning, const struct install_things *there,
                           const struct install_things *want)
{
    changes_find(planning, there, want);
    for (size_t i = 0; i < ARRAY_COUNT(drop_order); i++)
        steps_add(planning, INSTALL_DROP, drop_order[i]);
}

const struct install_plan *install_plan(const struct install_state *state,
                                        const struct install_things *wanted,
                                        const struct install_settings *settings,
                                        struct arena *arena)
{
    struct planning planning = {.arena = arena};
    const struct install_things none = {0};
    struct install_things there = state->things, want = *wanted;
    const char *daemon = settings->daemon ? settings->daemon : state->daemon;
    bool anew = state->version != INSTALL_VERSION;
    bool granted =
        !anew && daemon && state->daemon && strcmp(daemon, state->daemon) == 0 && state->granted;
    things_sort(&there);
    things_sort(&want);
    if (anew) {
        removal_add(&planning, state, &there);
        schema_add(&planning);
        changes_find(&planning, &none, &want);
    } else {
        difference_add(&planning, &there, &want);
    }
    for (size_t i = 0; i < ARRAY_COUNT(add_order); i++)
        steps_add(&planning, INSTALL_ADD, add_order[i]);
    if (!anew && state->closed)
        open_add(&planning);
    if (daemon && !granted)
        grant_add(&planning, daemon);
    if (planning.steps.size || state->unknown_children)
        text_step_add(&planning, "SELECT larder.know();\n");
    return plan_end(&planning);
}

const struct install_plan *install_plan_remove(const struct install_state *state,
                                               struct arena *arena)
{
    struct planning planning = {.arena = arena};
    struct install_things there = state->things;
    things_sort(&there);
    removal_add(&planning, state, &there);
    if (state->version)
        kept_removal_add(&planning);
    return plan_end(&planning);
}
