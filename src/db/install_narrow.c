#include "db/install_narrow.h"

#include <string.h>

/*
 * Watches of one table narrowed by the same columns, or by fewer of them from the first on: what is
 * new by all of them is struck by the fewer too. Rows that come and go strike the tags of all of
 * them; for an UPDATE each watch, with those by fewer columns that the same updates strike, is a
 * group of its own.
 */
struct group {
    const struct install_table *table;
    const struct watch *const *watches;
    size_t count;
    const struct watch *lead;           /* the one by the most columns */
    const struct watch *const *carried; /* not narrowed: their tags go into the outbox with these */
    size_t carried_count;
};

/* What a trigger is for, and the rows whose values it strikes. */
struct event {
    const char *name; /* null: UPDATE, of the columns that matter */
    const char *before, *after;
};

static const struct event row_events[] = {{"INSERT", "NEW", "NEW"}, {"DELETE", "OLD", "OLD"}};
static const struct event update_event = {NULL, "OLD", "NEW"};

/* `OLD."Column"` */
static void append_field(const char *column, const char *which, struct bytes *out)
{
    bytes_append_format(out, "%s.", which);
    watch_append_identifier(column, out);
}

static void append_value(const struct group *group, const struct watch *watch, const char *which,
                         struct bytes *out)
{
    struct bytes fields[WATCH_NARROW_MAX] = {0};
    struct watch_value values[WATCH_NARROW_MAX];
    for (size_t i = 0; i < watch->narrow_count; i++) {
        append_field(watch->narrow[i], which, &fields[i]);
        values[i] = (struct watch_value){
            .sql = bytes_text(&fields[i]),
            .brief = install_column_find(group->table, watch->narrow[i])->brief};
        out->failed = out->failed || fields[i].failed;
    }
    watch_append_value_sql(watch, values, out);
    for (size_t i = 0; i < watch->narrow_count; i++)
        bytes_free(&fields[i]);
}

static void append_bulk(const struct watch *watch, struct bytes *out)
{
    struct bytes tag CLEANUP(bytes_free) = BYTES_EMPTY;
    watch_append_bulk_tag(watch, &tag);
    watch_append_literal(bytes_text(&tag), out);
    out->failed = out->failed || tag.failed;
}

/* `CASE WHEN too many THEN bulk tag ELSE tag END` */
static void append_tag(const struct group *group, const struct watch *watch, const char *key,
                       const char *which, struct bytes *out)
{
    bytes_append_format(out,
                        "(CASE WHEN pg_catalog.current_setting('larder.v%s', true)"
                        " OPERATOR(pg_catalog.=) '*' THEN ",
                        key);
    append_bulk(watch, out);
    bytes_append_text(out, " ELSE ");
    append_value(group, watch, which, out);
    bytes_append_text(out, " END)");
}

/* `after0 := …;`, a variable for each watch: its tag by the row's values. */
static void append_values(const struct group *group, const char *key, const char *variable,
                          const char *which, const char *indent, struct bytes *out)
{
    for (size_t i = 0; i < group->count; i++) {
        bytes_append_format(out, "%s%s%zu := ", indent, variable, i);
        append_tag(group, group->watches[i], key, which, out);
        bytes_append_text(out, ";\n");
    }
}

/* Each in brackets, those carried and the variables of the others. */
static void append_tags(const struct group *group, const char *variable, const char *between,
                        struct bytes *out)
{
    for (size_t i = 0; i < group->carried_count; i++) {
        bytes_append_byte(out, '(');
        watch_append_tag_literal(group->carried[i], out);
        bytes_append_byte(out, ')');
        bytes_append_text(out, between);
    }
    for (size_t i = 0; i < group->count; i++)
        bytes_append_format(out, "%s(%s%zu)", i ? between : "", variable, i);
}

/* The row is larderd's, the note the responder's whose write it is. */
static void append_strike(const struct group *group, const char *variable, struct bytes *out)
{
    bytes_append_text(out, "INSERT INTO larder.outbox (tag) VALUES ");
    append_tags(group, variable, ", ", out);
    bytes_append_text(out, ";\n"
                           "    IF noted OPERATOR(pg_catalog.<>) '' THEN\n"
                           "        noted := larder.note(noted, ");
    append_tags(group, variable, " OPERATOR(pg_catalog.||) E'\\n' OPERATOR(pg_catalog.||) ", out);
    bytes_append_text(out, ");\n    END IF;\n");
}

/* `(OLD.a IS NULL) <> (NEW.a IS NULL) OR OLD.a <> NEW.a` */
static void append_moved(const char *column, const struct event *event, struct bytes *out)
{
    struct bytes before CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes after CLEANUP(bytes_free) = BYTES_EMPTY;
    append_field(column, event->before, &before);
    append_field(column, event->after, &after);
    bytes_append_format(out,
                        "(%s IS NULL) OPERATOR(pg_catalog.<>) (%s IS NULL)"
                        " OR %s OPERATOR(pg_catalog.<>) %s",
                        bytes_text(&before), bytes_text(&after), bytes_text(&before),
                        bytes_text(&after));
    out->failed = out->failed || before.failed || after.failed;
}

/* One value mostly: a change of the narrowing columns themselves is rare. */
static void append_others(const struct group *group, const char *key, const struct event *event,
                          struct bytes *out)
{
    bytes_append_text(out, "        IF ");
    for (size_t i = 0; i < group->lead->narrow_count; i++) {
        bytes_append_text(out, i ? " OR " : "");
        append_moved(group->lead->narrow[i], event, out);
    }
    bytes_append_text(out, " THEN\n");
    append_values(group, key, "before", event->before, "            ", out);
    bytes_append_text(out, "        END IF;\n");
}

static void append_variables(const struct group *group, const char *variable, struct bytes *out)
{
    for (size_t i = 0; i < group->count; i++)
        bytes_append_format(out, "    %s%zu pg_catalog.text;\n", variable, i);
}

/*
 * A column that was renamed, which PostgreSQL allows, must fail nobody's write: all values are
 * struck. The block writes nothing, so it takes no transaction's number.
 */
static void append_block(const struct group *group, const char *key, const struct event *event,
                         struct bytes *out)
{
    bytes_append_text(out, "    BEGIN\n");
    append_values(group, key, "after", event->after, "        ", out);
    if (event->before != event->after)
        append_others(group, key, event, out);
    bytes_append_text(out, "    EXCEPTION WHEN undefined_column OR undefined_function THEN\n");
    for (size_t i = 0; i < group->count; i++) {
        bytes_append_format(out, "        after%zu := ", i);
        append_bulk(group->watches[i], out);
        bytes_append_text(out, ";\n");
    }
    bytes_append_text(out, "    END;\n");
}

static void append_strike_others(const struct group *group, struct bytes *out)
{
    struct group alone = *group;
    alone.carried_count = 0;
    bytes_append_text(out, "    IF before0 IS NOT NULL THEN\n    ");
    append_strike(&alone, "before", out);
    bytes_append_text(out, "    END IF;\n");
}

/*
 * The body runs at the statement's end: the setting may say by then that there were too many
 * values, and that is true for the rows queued before it too.
 */
static void append_body(const struct group *group, const char *key, const struct event *event,
                        struct bytes *out)
{
    bool two = event->before != event->after;
    bytes_append_text(out, "DECLARE\n"
                           "    noted pg_catalog.text :="
                           " pg_catalog.current_setting('larder.struck', true);\n");
    append_variables(group, "after", out);
    if (two)
        append_variables(group, "before", out);
    bytes_append_text(out, "BEGIN\n");
    append_block(group, key, event, out);
    bytes_append_text(out, "    ");
    append_strike(group, "after", out);
    if (two)
        append_strike_others(group, out);
    bytes_append_text(out, "    IF coalesce(noted, '') OPERATOR(pg_catalog.=) ''"
                           " AND pg_catalog.pg_sequence_last_value('larder.asleep')"
                           " OPERATOR(pg_catalog.=) 2 THEN\n"
                           "        PERFORM larder.wake();\n"
                           "    END IF;\n"
                           "    RETURN NULL;\n"
                           "END");
}

/* *ret_name is `value_<key of its text>`. */
static bool want_function(const struct install_making *making, const struct group *group,
                          const char *key, const struct event *event, const char **ret_name)
{
    struct bytes body CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes sql CLEANUP(bytes_free) = BYTES_EMPTY;
    char own[INSTALL_KEY_SIZE];
    append_body(group, key, event, &body);
    if (body.failed || !install_key(bytes_span(&body), own))
        return false;
    const char *name = arena_format(making->arena, "value_%s", own);
    if (!name)
        return false;
    bytes_append_format(&sql,
                        "CREATE FUNCTION larder.%s() RETURNS trigger LANGUAGE plpgsql "
                        "SECURITY DEFINER AS ",
                        name);
    watch_append_literal(bytes_text(&body), &sql);
    bytes_append_format(&sql, ";\nREVOKE ALL ON FUNCTION larder.%s() FROM PUBLIC;\n", name);
    *ret_name = name;
    return install_want(making, INSTALL_FUNCTION, NULL, name, &sql);
}

/* The value, or an array of several's texts: any types have one there, and no two rows the same. */
static void append_fields(const struct watch *watch, const char *which, struct bytes *out)
{
    bool several = watch->narrow_count > 1;
    bytes_append_text(out, several ? "ARRAY[" : "");
    for (size_t i = 0; i < watch->narrow_count; i++) {
        bytes_append_text(out, i ? ", " : "");
        append_field(watch->narrow[i], which, out);
        bytes_append_text(out, several ? "::text" : "");
    }
    bytes_append_text(out, several ? "]" : "");
}

/*
 * PostgreSQL reads the tree of a WHEN anew for each statement, at thirty instructions a character
 * of its text, also what is not reached. So it holds no more than keeps a statement of many rows
 * short.
 */
static void append_fresh(const struct watch *watch, const char *key, const struct event *event,
                         struct bytes *out)
{
    bytes_append_format(out,
                        "current_setting('larder.v%s', true) IS DISTINCT FROM '*'\n"
                        "          AND larder.fresh('%s', ",
                        key, key);
    append_fields(watch, event->before, out);
    bytes_append_text(out, ", ");
    append_fields(watch, event->after, out);
    bytes_append_byte(out, ')');
}

/* `changed` is what an UPDATE must have changed; null: rows come or go. */
static bool want_event(const struct install_making *making, const struct group *group,
                       const struct watch *changed, const struct event *event, const char *key)
{
    struct bytes when CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes words CLEANUP(bytes_free) = BYTES_EMPTY;
    const char *function;
    bytes_append_text(&words, changed ? "" : event->name);
    if (changed) {
        install_append_update(making, changed, &words);
        install_append_changed(making, changed, &when);
        bytes_append_text(&when, "\n          AND ");
    }
    append_fresh(group->lead, key, event, &when);
    if (!want_function(making, group, key, event, &function))
        return false;
    const char *call = arena_format(making->arena, "%s()", function);
    const struct install_trigger trigger = {
        .event = bytes_text(&words), .when = bytes_text(&when), .call = call};
    return call && !when.failed && !words.failed &&
           install_want_trigger(making, making->table, &trigger);
}

/* What the group's settings end in. */
static bool group_key(const struct group *group, const char *event,
                      char ret_key[static INSTALL_KEY_SIZE])
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    bytes_append_text(&text, event);
    for (size_t i = 0; i < group->count; i++)
        append_bulk(group->watches[i], &text);
    return !text.failed && install_key(bytes_span(&text), ret_key);
}

static bool want_group_rows(const struct install_making *making, const struct group *group)
{
    char key[INSTALL_KEY_SIZE];
    if (!group_key(group, "rows", key))
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(row_events); i++)
        if (!want_event(making, group, NULL, &row_events[i], key))
            return false;
    return true;
}

/* Does a change of the column alone strike the watch? */
static bool reads(const struct watch *watch, const char *column)
{
    return watch_has_name(watch->columns, watch->column_count, column) ||
           (!watch->updates && watch_has_name(watch->narrow, watch->narrow_count, column));
}

static bool reads_all(const struct watch *watch, const struct watch *other)
{
    bool all = true;
    for (size_t i = 0; i < other->column_count; i++)
        all = all && reads(watch, other->columns[i]);
    for (size_t i = 0; i < other->narrow_count && !other->updates; i++)
        all = all && reads(watch, other->narrow[i]);
    return all;
}

static bool same_updates(const struct watch *left, const struct watch *right)
{
    return reads_all(left, right) && reads_all(right, left);
}

/* The watch with the narrowing columns among those it reads, as a change of them counts. */
static bool with_narrow(const struct install_making *making, const struct watch *watch,
                        struct watch *ret_watch)
{
    size_t most = watch->column_count + watch->narrow_count;
    const char **columns = arena_array(making->arena, most, sizeof *columns);
    if (!columns)
        return false;
    *ret_watch = *watch;
    ret_watch->columns = columns;
    for (size_t i = 0; i < watch->column_count; i++)
        columns[i] = watch->columns[i];
    for (size_t i = 0; i < watch->narrow_count && !watch->updates; i++)
        if (!watch_has_name(watch->columns, watch->column_count, watch->narrow[i]))
            columns[ret_watch->column_count++] = watch->narrow[i];
    return true;
}

static bool begins_narrow(const struct watch *watch, const struct watch *other)
{
    bool same = watch->narrow_count <= other->narrow_count;
    for (size_t i = 0; same && i < watch->narrow_count; i++)
        same = strcmp(watch->narrow[i], other->narrow[i]) == 0;
    return same;
}

/* Is `watch` narrowed by the first columns of `other`, and by fewer? */
static bool is_prefix(const struct watch *watch, const struct watch *other)
{
    return watch->narrow_count && watch->narrow_count < other->narrow_count &&
           begins_narrow(watch, other);
}

static bool same_narrow(const struct watch *left, const struct watch *right)
{
    return left->narrow_count == right->narrow_count && begins_narrow(left, right);
}

/* Does what strikes `watch` strike `other` too? */
typedef bool strikes(const struct watch *watch, const struct watch *other);

static bool strikes_rows(const struct watch *watch, const struct watch *other)
{
    return !watch->updates && !other->updates;
}

/*
 * The first watch that is narrowed by more columns, and by no fewer than any other of them, whose
 * trigger strikes this one's tag too; the watch itself where there is none.
 */
static const struct watch *lead_of(const struct install_making *making, const struct watch *watch,
                                   strikes *strike)
{
    const struct watch *lead = watch;
    for (size_t i = 0; i < making->count; i++) {
        const struct watch *other = &making->watches[i];
        if (is_prefix(watch, other) && strike(watch, other) &&
            other->narrow_count > lead->narrow_count)
            lead = other;
    }
    return lead;
}

/* The first narrowed watch that the same updates strike; null: none. */
static const struct watch *carrier(const struct install_making *making, const struct watch *whole)
{
    for (size_t i = 0; i < making->count; i++)
        if (making->watches[i].narrow_count && same_updates(whole, &making->watches[i]))
            return lead_of(making, &making->watches[i], same_updates);
    return NULL;
}

bool install_narrowed_carries_update(const struct install_making *making, const struct watch *whole)
{
    return carrier(making, whole) != NULL;
}

/* Those that are not narrowed: all of them, or those that `by` carries. False: memory. */
static bool carry(const struct install_making *making, const struct watch *by, struct group *group)
{
    const struct watch **carried = arena_array(making->arena, making->count, sizeof *carried);
    if (!carried)
        return false;
    group->carried = carried;
    for (size_t i = 0; i < making->count; i++) {
        const struct watch *watch = &making->watches[i];
        if (!watch->narrow_count && (by ? carrier(making, watch) == by : !watch->updates))
            carried[group->carried_count++] = watch;
    }
    return true;
}

/* The group of what the lead's trigger strikes; none when another watch's strikes the lead. */
static bool want_update(const struct install_making *making, const struct watch *lead)
{
    const struct watch **watches = arena_array(making->arena, making->count, sizeof *watches);
    struct group group = {.table = making->table, .watches = watches, .lead = lead};
    char key[INSTALL_KEY_SIZE];
    struct watch wide;
    if (!watches)
        return false;
    if (lead_of(making, lead, same_updates) != lead)
        return true;
    for (size_t i = 0; i < making->count; i++) {
        const struct watch *watch = &making->watches[i];
        if (watch->narrow_count && lead_of(making, watch, same_updates) == lead)
            watches[group.count++] = watch;
    }
    return carry(making, lead, &group) && group_key(&group, "update", key) &&
           with_narrow(making, lead, &wide) &&
           want_event(making, &group, &wide, &update_event, key);
}

/* Has one of the first `count` a group of its own for rows, which carries what is not narrowed? */
static bool rows_led(const struct install_making *making, size_t count)
{
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        const struct watch *watch = &making->watches[i];
        any = any || (watch->narrow_count && !watch->updates &&
                      lead_of(making, watch, strikes_rows) == watch);
    }
    return any;
}

/* The group that watches[first] leads; none when one before it has the same columns. */
static bool want_rows_from(const struct install_making *making, size_t first)
{
    const struct watch **watches = arena_array(making->arena, making->count, sizeof *watches);
    const struct watch *lead = &making->watches[first];
    struct group group = {.table = making->table, .watches = watches, .lead = lead};
    if (!watches)
        return false;
    if (lead->updates || lead_of(making, lead, strikes_rows) != lead)
        return true;
    for (size_t i = 0; i < making->count; i++) {
        const struct watch *watch = &making->watches[i];
        if (!watch->narrow_count || watch->updates ||
            !same_narrow(lead_of(making, watch, strikes_rows), lead))
            continue;
        if (i < first && same_narrow(watch, lead))
            return true;
        watches[group.count++] = watch;
    }
    if (!rows_led(making, first) && !carry(making, NULL, &group))
        return false;
    return want_group_rows(making, &group);
}

bool install_narrowed_carries_rows(const struct install_making *making)
{
    return rows_led(making, making->count);
}

bool install_want_narrowed(const struct install_making *making)
{
    for (size_t i = 0; i < making->count; i++)
        if (making->watches[i].narrow_count &&
            (!want_rows_from(making, i) || !want_update(making, &making->watches[i])))
            return false;
    return true;
}
