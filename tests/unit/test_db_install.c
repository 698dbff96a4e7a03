#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "db/install.h"

#define NAMES(...)                                                                                 \
    (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

static struct watch watch(const char *const *columns, size_t column_count,
                          const char *const *narrow, size_t narrow_count)
{
    return (struct watch){.schema = "public",
                          .table = "cards",
                          .columns = columns,
                          .column_count = column_count,
                          .narrow = narrow,
                          .narrow_count = narrow_count};
}

static struct watch for_updates(struct watch of)
{
    of.updates = true;
    return of;
}

static const struct install_column columns[] = {{.name = "body"},
                                                {.name = "id", .plain = true, .brief = "int4"},
                                                {.name = "owner", .plain = true, .brief = "int4"},
                                                {.name = "title", .plain = true}};
static const struct install_table cards = {.schema = "public",
                                           .table = "cards",
                                           .kind = 'r',
                                           .allowed = true,
                                           .columns = columns,
                                           .column_count = ARRAY_COUNT(columns)};
static const struct install_settings by_module = {.module = true};

struct wanted {
    struct arena *arena;
    struct bytes bytes; /* struct install_thing */
    struct install_things things;
};

static void want(struct wanted *wanted, const struct install_table *table,
                 const struct watch *watches, size_t count, const struct install_settings *settings)
{
    *wanted = (struct wanted){.arena = arena_new()};
    assert_non_null(wanted->arena);
    assert_true(install_want_table(table, watches, count, settings, wanted->arena, &wanted->bytes));
    wanted->things.items = (void *)wanted->bytes.data;
    wanted->things.count = wanted->bytes.size / sizeof *wanted->things.items;
}

static void forget(struct wanted *wanted)
{
    bytes_free(&wanted->bytes);
    arena_free(wanted->arena);
}

static size_t count_of(const struct wanted *wanted, enum install_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < wanted->things.count; i++)
        count += wanted->things.items[i].kind == kind;
    return count;
}

/* The SQL of the one trigger that is not for TRUNCATE. */
static const char *row_trigger(const struct wanted *wanted)
{
    const char *found = NULL;
    for (size_t i = 0; i < wanted->things.count; i++) {
        const struct install_thing *thing = &wanted->things.items[i];
        if (thing->kind != INSTALL_TRIGGER || strncmp(thing->name, "larder_truncate_", 16) == 0)
            continue;
        assert_null(found);
        found = thing->sql;
    }
    assert_non_null(found);
    return found;
}

/* What follows the trigger's name, which has a hash in it. */
static void assert_trigger(const struct install_table *table, const struct watch *watches,
                           size_t count, const struct install_settings *settings,
                           const char *expected)
{
    struct wanted wanted;
    want(&wanted, table, watches, count, settings);
    assert_int_equal(count_of(&wanted, INSTALL_FUNCTION), 0);
    assert_int_equal(count_of(&wanted, INSTALL_WATCH), count);
    assert_string_equal(strstr(row_trigger(&wanted), " AFTER"), expected);
    forget(&wanted);
}

static void one_trigger_of_the_module_has_all_watches(void **state)
{
    const struct watch watches[] = {watch(NAMES("id", "title"), NULL, 0),
                                    watch(NAMES("body"), NAMES("owner", "id")),
                                    for_updates(watch(NAMES("body"), NAMES("title")))};
    (void)state;
    assert_trigger(
        &cards, watches, ARRAY_COUNT(watches), &by_module,
        " AFTER INSERT OR DELETE OR UPDATE OF id, title, body, owner ON public.cards FOR "
        "EACH ROW\n"
        "    EXECUTE FUNCTION larder_ring.strike(\n"
        "        '{rows,\"public.cards(id,title)\",2,\"id\",\"title\",0,"
        "rows,\"public.cards(body).owner,id\",1,\"body\",2,\"owner\",\"id\","
        "updates,\"public.cards(for body).title\",1,\"body\",1,\"title\"}');\n");
}

static void it_has_the_events_that_a_watch_needs(void **state)
{
    const struct watch rows = watch(NULL, 0, NULL, 0), key = watch(NULL, 0, NAMES("owner")),
                       updates = for_updates(watch(NAMES("body"), NAMES("id")));
    (void)state;
    assert_trigger(&cards, &rows, 1, &by_module,
                   " AFTER INSERT OR DELETE ON public.cards FOR EACH ROW\n"
                   "    EXECUTE FUNCTION larder_ring.strike(\n"
                   "        '{rows,\"public.cards()\",0,0}');\n");
    assert_trigger(&cards, &key, 1, &by_module,
                   " AFTER INSERT OR DELETE OR UPDATE OF owner ON public.cards FOR EACH ROW\n"
                   "    EXECUTE FUNCTION larder_ring.strike(\n"
                   "        '{rows,\"public.cards().owner\",0,1,\"owner\"}');\n");
    assert_trigger(&cards, &updates, 1, &by_module,
                   " AFTER UPDATE OF body ON public.cards FOR EACH ROW\n"
                   "    EXECUTE FUNCTION larder_ring.strike(\n"
                   "        '{updates,\"public.cards(for body).id\",1,\"body\",1,\"id\"}');\n");
}

static void where_a_before_trigger_rewrites_any_update_counts(void **state)
{
    struct install_table table = cards;
    const struct watch body = watch(NAMES("body"), NULL, 0), rows = watch(NULL, 0, NULL, 0);
    (void)state;
    table.rewrites = true;
    assert_trigger(&table, &body, 1, &by_module,
                   " AFTER INSERT OR DELETE OR UPDATE ON public.cards FOR EACH ROW\n"
                   "    EXECUTE FUNCTION larder_ring.strike(\n"
                   "        '{rows,\"public.cards(body)\",1,\"body\",0}');\n");
    assert_trigger(&table, &rows, 1, &by_module,
                   " AFTER INSERT OR DELETE ON public.cards FOR EACH ROW\n"
                   "    EXECUTE FUNCTION larder_ring.strike(\n"
                   "        '{rows,\"public.cards()\",0,0}');\n");
}

static void names_are_quoted_where_they_stand(void **state)
{
    const struct install_table odd = {.schema = "public", .table = "Odd 't'", .kind = 'r'};
    struct watch it = watch(NAMES("it's", "user\\x"), NULL, 0);
    (void)state;
    it.table = odd.table;
    assert_trigger(
        &odd, &it, 1, &by_module,
        " AFTER INSERT OR DELETE OR UPDATE OF \"it's\", \"user\\x\" ON public.\"Odd 't'\" "
        "FOR EACH ROW\n"
        "    EXECUTE FUNCTION larder_ring.strike(\n"
        "        E'{rows,\"public.\\\\\"Odd "
        "''t''\\\\\"(\\\\\"it''s\\\\\",\\\\\"user\\\\\\\\x\\\\\")\","
        "2,\"it''s\",\"user\\\\\\\\x\",0}');\n");
}

static void for_replicated_changes_it_is_enabled_always(void **state)
{
    const struct install_settings always = {.module = true, .always = true};
    const struct watch body = watch(NAMES("body"), NULL, 0);
    struct wanted wanted;
    (void)state;
    want(&wanted, &cards, &body, 1, &always);
    assert_non_null(strstr(row_trigger(&wanted), "ALTER TABLE public.cards ENABLE ALWAYS TRIGGER "
                                                 "larder_insert_"));
    forget(&wanted);
}

static void partitions_have_truncate_triggers_alone(void **state)
{
    const struct install_table part = {.schema = "public", .table = "part", .kind = 'r'};
    struct install_table root = cards;
    const struct watch body = watch(NAMES("body"), NULL, 0);
    struct wanted wanted;
    (void)state;
    root.kind = 'p';
    root.partitions = &part;
    root.partition_count = 1;
    want(&wanted, &root, &body, 1, &by_module);
    assert_int_equal(count_of(&wanted, INSTALL_TRIGGER), 3);
    assert_non_null(strstr(row_trigger(&wanted), " ON public.cards "));
    forget(&wanted);
}

/* It has one argument, of which PostgreSQL could not count more than that many. */
static void more_words_than_a_trigger_can_have_arguments_are_no_matter(void **state)
{
    enum { MANY = 32768 / 5 };
    const struct watch one = watch(NAMES("body"), NULL, 0);
    struct watch *watches = calloc(MANY, sizeof *watches);
    struct wanted wanted;
    (void)state;
    assert_non_null(watches);
    for (size_t i = 0; i < MANY; i++)
        watches[i] = one;
    want(&wanted, &cards, watches, MANY, &by_module);
    assert_non_null(strstr(row_trigger(&wanted), "larder_ring.strike("));
    forget(&wanted);
    free(watches);
}

static void assert_verbs(const struct install_plan *plan, enum install_kind kind, unsigned kept,
                         unsigned added, unsigned dropped)
{
    unsigned seen[INSTALL_DROP + 1] = {0};
    for (size_t i = 0; i < plan->change_count; i++)
        if (plan->changes[i].thing->kind == kind)
            seen[plan->changes[i].verb]++;
    assert_int_equal(seen[INSTALL_KEEP], kept);
    assert_int_equal(seen[INSTALL_ADD], added);
    assert_int_equal(seen[INSTALL_DROP], dropped);
}

/* In PL/pgSQL: rows that come, that go, two kinds of updates; a function for rows, one for updates.
 */
static void from_the_one_way_to_the_other_what_is_not_a_row_trigger_stays(void **state)
{
    const struct install_settings in_plpgsql = {0};
    const struct watch watches[] = {watch(NAMES("id", "title"), NULL, 0),
                                    watch(NAMES("body"), NAMES("owner"))};
    struct wanted module, plpgsql;
    struct install_state there = {.version = INSTALL_VERSION};
    (void)state;
    want(&module, &cards, watches, ARRAY_COUNT(watches), &by_module);
    want(&plpgsql, &cards, watches, ARRAY_COUNT(watches), &in_plpgsql);
    there.things = plpgsql.things;
    const struct install_plan *to = install_plan(&there, &module.things, &by_module, module.arena);
    assert_verbs(to, INSTALL_WATCH, 2, 0, 0);
    assert_verbs(to, INSTALL_TRIGGER, 1, 1, 4);
    assert_verbs(to, INSTALL_FUNCTION, 0, 0, 2);

    there.things = module.things;
    const struct install_plan *fro =
        install_plan(&there, &plpgsql.things, &in_plpgsql, module.arena);
    assert_verbs(fro, INSTALL_WATCH, 2, 0, 0);
    assert_verbs(fro, INSTALL_TRIGGER, 1, 4, 1);
    assert_verbs(fro, INSTALL_FUNCTION, 0, 2, 0);

    const struct install_plan *again =
        install_plan(&there, &module.things, &by_module, module.arena);
    assert_int_equal(again->step_count, 0);
    forget(&module);
    forget(&plpgsql);
}

UNIT_MAIN(cmocka_unit_test(one_trigger_of_the_module_has_all_watches),
          cmocka_unit_test(it_has_the_events_that_a_watch_needs),
          cmocka_unit_test(where_a_before_trigger_rewrites_any_update_counts),
          cmocka_unit_test(names_are_quoted_where_they_stand),
          cmocka_unit_test(for_replicated_changes_it_is_enabled_always),
          cmocka_unit_test(partitions_have_truncate_triggers_alone),
          cmocka_unit_test(more_words_than_a_trigger_can_have_arguments_are_no_matter),
          cmocka_unit_test(from_the_one_way_to_the_other_what_is_not_a_row_trigger_stays))
