#include "command/install.h"

#include <stdio.h>
#include <string.h>

#include "db/install_trigger.h"

static bool adds_trigger(const struct install_plan *plan, const struct install_table *table)
{
    for (size_t i = 0; i < plan->change_count; i++) {
        const struct install_thing *thing = plan->changes[i].thing;
        if (plan->changes[i].verb == INSTALL_ADD && thing->kind == INSTALL_TRIGGER &&
            strcmp(thing->schema, table->schema) == 0 && strcmp(thing->table, table->table) == 0)
            return true;
    }
    return false;
}

static bool table_judge(const struct install_place *place, const struct install_plan *plan,
                        const struct install_table *table)
{
    struct bytes name CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes role CLEANUP(bytes_free) = BYTES_EMPTY;
    if (table->allowed || !adds_trigger(plan, table))
        return true;
    install_append_table(table->schema, table->table, &name);
    watch_append_identifier(place->role, &role);
    fprintf(stderr,
            "larder install: %s may not make triggers on %s: GRANT TRIGGER ON %s TO %s, or run it "
            "as the owner %s\n",
            place->role, bytes_text(&name), bytes_text(&name), bytes_text(&role), table->owner);
    return false;
}

static bool tables_judge(const struct install_place *place, const struct install_plan *plan,
                         const struct install_table *tables, size_t count)
{
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        good = table_judge(place, plan, &tables[i]) && good;
        for (size_t j = 0; j < tables[i].partition_count; j++)
            good = table_judge(place, plan, &tables[i].partitions[j]) && good;
    }
    return good;
}

static bool schema_judge(const struct install_place *place, bool removing)
{
    struct bytes database CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes role CLEANUP(bytes_free) = BYTES_EMPTY;
    watch_append_identifier(place->database, &database);
    watch_append_identifier(place->role, &role);
    if (place->foreign)
        fprintf(stderr,
                "larder install: the database %s has a schema \"larder\" that is not of its "
                "making: rename or drop that\n",
                place->database);
    else if (place->strangers && (removing || place->state.version != INSTALL_VERSION))
        fprintf(
            stderr,
            "larder install: the schema \"larder\" would be dropped with things that are not of "
            "its making: %s: move them (ALTER … SET SCHEMA), or drop them\n",
            place->strangers);
    else if (place->state.version > INSTALL_VERSION && !removing)
        fprintf(stderr,
                "larder install: a newer Larder made the schema \"larder\" (version %d, here %d): "
                "use that one, or remove it first\n",
                place->state.version, INSTALL_VERSION);
    else if (!removing && place->state.version == 0 && !place->may_create)
        fprintf(stderr,
                "larder install: %s may not make a schema in the database %s: "
                "GRANT CREATE ON DATABASE %s TO %s\n",
                place->role, place->database, bytes_text(&database), bytes_text(&role));
    else
        return true;
    return false;
}

int install_judge(const struct install_place *place, const struct install_plan *plan,
                  const struct install_table *tables, size_t count, bool removing)
{
    bool schema = schema_judge(place, removing);
    bool allowed = tables_judge(place, plan, tables, count);
    return schema && allowed ? 0 : 1;
}

struct tally {
    unsigned of[INSTALL_DROP + 1]; /* by verb */
};

static void print_tally(const char *noun, const struct tally *tally)
{
    static const char *const verbs[] = {"kept", "added", "removed"};
    unsigned all = tally->of[INSTALL_KEEP] + tally->of[INSTALL_ADD] + tally->of[INSTALL_DROP];
    const char *between = " (";
    if (!all)
        return;
    printf("  %u %s%s", all, noun, all == 1 ? "" : noun[strlen(noun) - 1] == 'h' ? "es" : "s");
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        if (!tally->of[i])
            continue;
        printf("%s%u %s", between, tally->of[i], verbs[i]);
        between = ", ";
    }
    printf(")");
}

static bool same_table(const struct install_thing *left, const struct install_thing *right)
{
    return strcmp(left->schema, right->schema) == 0 && strcmp(left->table, right->table) == 0;
}

/* Changes from `first` on that are of one table; returns where the next table's begin. */
static size_t print_table(const struct install_plan *plan, size_t first)
{
    struct bytes name CLEANUP(bytes_free) = BYTES_EMPTY;
    struct tally tallies[INSTALL_KIND_COUNT] = {0};
    const struct install_thing *table = plan->changes[first].thing;
    size_t next = first;
    for (; next < plan->change_count && same_table(table, plan->changes[next].thing); next++)
        tallies[plan->changes[next].thing->kind].of[plan->changes[next].verb]++;
    if (!*table->table)
        return next; /* functions: nobody asks about them */
    install_append_table(table->schema, table->table, &name);
    printf("%s:", bytes_text(&name));
    print_tally("watch", &tallies[INSTALL_WATCH]);
    print_tally("trigger", &tallies[INSTALL_TRIGGER]);
    printf("\n");
    return next;
}

static void print_ddl(const struct install_place *place, const struct install_plan *plan)
{
    for (size_t i = 0; i < plan->change_count; i++)
        if (plan->changes[i].thing->kind == INSTALL_EVENT_TRIGGER &&
            plan->changes[i].verb != INSTALL_DROP)
            return;
    printf("DDL and REFRESH MATERIALIZED VIEW are heard of within a second or so, by larderd's "
           "looking: %s is no superuser, who alone may make event triggers\n",
           place->role);
}

/* How the row triggers are made, and why so. */
static void print_way(const struct module *module)
{
    static const char *const ways[] = {
        [MODULE_UNASKED] = "in PL/pgSQL, as --no-module has it",
        [MODULE_ABSENT] = "in PL/pgSQL; the database has not the module (CREATE EXTENSION larder)",
        [MODULE_FOREIGN] = "in PL/pgSQL; the functions in the schema larder_ring are not those of "
                           "the module, or of another version of it",
        [MODULE_DENIED] = "in PL/pgSQL; ",
        [MODULE_BROKEN] = "in PL/pgSQL; the module can't be loaded: ",
        [MODULE_UNLOADED] = "in PL/pgSQL; the module is not loaded: add larder to "
                            "shared_preload_libraries, start PostgreSQL anew, and install again",
        [MODULE_PREPARED] = "in PL/pgSQL; the module does nothing where transactions may be "
                            "prepared: set max_prepared_transactions to 0, start PostgreSQL anew, "
                            "and install again",
        [MODULE_READY] = "by the module",
    };
    printf("row triggers: %s%s\n", ways[module->state], module->reason ? module->reason : "");
}

void install_report(const struct install_place *place, const struct install_plan *plan,
                    bool removed)
{
    int version = place->state.version;
    for (size_t i = 0; i < plan->change_count;)
        i = print_table(plan, i);
    printf("schema larder: %s\n", removed ? version ? "removed" : "there was none"
                                  : version == INSTALL_VERSION ? "kept"
                                  : version                    ? "made anew, for it was older"
                                                               : "made");
    if (removed)
        return;
    print_way(&place->module);
    print_ddl(place, plan);
}
