#include "db/install_narrow.h"

#include <string.h>

/*
 * Watches of one table narrowed by one column. Rows that come and go strike the tags of all of
 * them; for an UPDATE each watch is a group of its own.
 */
struct group {
    const struct watch *const *watches;
    size_t count;
    bool brief; /* the column's texts are */
};

/* What a trigger is for, and the rows whose values it strikes. */
struct event {
    const char *name; /* null: UPDATE, of the columns that matter */
    const char *before, *after;
};

static const struct event row_events[] = {{"INSERT", "NEW", "NEW"}, {"DELETE", "OLD", "OLD"}};
static const struct event update_event = {NULL, "OLD", "NEW"};

/* `OLD."Column"` */
static void append_field(const struct watch *watch, const char *which, struct bytes *out)
{
    bytes_append_format(out, "%s.", which);
    watch_append_identifier(watch->narrow, out);
}

static void append_value(const struct group *group, const struct watch *watch, const char *which,
                         struct bytes *out)
{
    struct bytes field CLEANUP(bytes_free) = BYTES_EMPTY;
    append_field(watch, which, &field);
    (group->brief ? watch_append_short_value_sql : watch_append_value_sql)(watch,
                                                                           bytes_text(&field), out);
    out->failed = out->failed || field.failed;
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

static void append_insert(const struct group *group, const char *key, const char *which,
                          struct bytes *out)
{
    bytes_append_text(out, "INSERT INTO larder.outbox (tag) VALUES ");
    for (size_t i = 0; i < group->count; i++) {
        bytes_append_text(out, i ? ", " : "");
        append_tag(group, group->watches[i], key, which, out);
    }
    bytes_append_text(out, ";\n");
}

/* One value mostly: a change of the narrowing column itself is rare. */
static void append_other(const struct group *group, const char *key, const struct event *event,
                         struct bytes *out)
{
    struct bytes before CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes after CLEANUP(bytes_free) = BYTES_EMPTY;
    append_field(group->watches[0], event->before, &before);
    append_field(group->watches[0], event->after, &after);
    bytes_append_format(out,
                        "    IF (%s IS NULL) OPERATOR(pg_catalog.<>) (%s IS NULL)"
                        " OR %s OPERATOR(pg_catalog.<>) %s THEN\n        ",
                        bytes_text(&before), bytes_text(&after), bytes_text(&before),
                        bytes_text(&after));
    append_insert(group, key, event->before, out);
    bytes_append_text(out, "    END IF;\n");
    out->failed = out->failed || before.failed || after.failed;
}

/*
 * The body runs at the statement's end: the setting may say by then that there were too many
 * values, and that is true for the rows queued before it too.
 */
static void append_body(const struct group *group, const char *key, const struct event *event,
                        struct bytes *out)
{
    bytes_append_text(out, "BEGIN\n    ");
    append_insert(group, key, event->after, out);
    if (event->before != event->after)
        append_other(group, key, event, out);
    bytes_append_text(out, "    IF pg_catalog.pg_sequence_last_value('larder.asleep')"
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

/*
 * The transaction's first row passes, and bulk doesn't, without larder.fresh, which costs more than
 * all the rest. The first row's value is not remembered: at worst it is struck twice.
 */
static void append_fresh(const struct watch *watch, const char *key, const struct event *event,
                         struct bytes *out)
{
    bytes_append_format(out,
                        "CASE coalesce(current_setting('larder.v%s', true), '')\n"
                        "              WHEN '' THEN set_config('larder.v%s', ',', true) = ','\n"
                        "              WHEN '*' THEN false\n"
                        "              ELSE larder.fresh('%s', ",
                        key, key, key);
    append_field(watch, event->before, out);
    bytes_append_text(out, "::text, ");
    append_field(watch, event->after, out);
    bytes_append_text(out, "::text) END");
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
    append_fresh(group->watches[0], key, event, &when);
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

/* The watch with the narrowing column among those it reads, as a change of it counts. */
static bool with_narrow(const struct install_making *making, const struct watch *watch,
                        struct watch *ret_watch)
{
    const char **columns = arena_array(making->arena, watch->column_count + 1, sizeof *columns);
    if (!columns)
        return false;
    *ret_watch = *watch;
    for (size_t i = 0; i < watch->column_count; i++) {
        columns[i] = watch->columns[i];
        if (strcmp(columns[i], watch->narrow) == 0)
            return true;
    }
    columns[ret_watch->column_count++] = watch->narrow;
    ret_watch->columns = columns;
    return true;
}

static bool want_update(const struct install_making *making, const struct watch *watch)
{
    const struct group group = {.watches = &watch,
                                .count = 1,
                                .brief = install_column_find(making->table, watch->narrow)->brief};
    char key[INSTALL_KEY_SIZE];
    struct watch wide;
    return group_key(&group, "update", key) && with_narrow(making, watch, &wide) &&
           want_event(making, &group, &wide, &update_event, key);
}

static bool same_narrow(const struct watch *left, const struct watch *right)
{
    return left->narrow && right->narrow && strcmp(left->narrow, right->narrow) == 0;
}

/* The group that watches[first] opens; none when one before it has the same column. */
static bool want_rows_from(const struct install_making *making, size_t first)
{
    const struct watch **watches = arena_array(making->arena, making->count, sizeof *watches);
    const char *narrow = making->watches[first].narrow;
    struct group group = {.watches = watches,
                          .brief = install_column_find(making->table, narrow)->brief};
    if (!watches)
        return false;
    for (size_t i = 0; i < making->count; i++) {
        if (!same_narrow(&making->watches[first], &making->watches[i]))
            continue;
        if (i < first)
            return true;
        watches[group.count++] = &making->watches[i];
    }
    return want_group_rows(making, &group);
}

bool install_want_narrowed(const struct install_making *making)
{
    for (size_t i = 0; i < making->count; i++)
        if (making->watches[i].narrow &&
            (!want_rows_from(making, i) || !want_update(making, &making->watches[i])))
            return false;
    return true;
}
