#include "db/install_narrow.h"

#include <string.h>

/*
 * Watches of one table narrowed by one column. Rows that come and go strike the tags of all of
 * them; for an UPDATE each watch is a group of its own.
 */
struct group {
    const struct watch *const *watches;
    size_t count;
};

typedef void append_tag_function(const struct watch *watch, const char *which, struct bytes *out);

/* `OLD."Column"` */
static void append_field(const struct watch *watch, const char *which, struct bytes *out)
{
    bytes_append_format(out, "%s.", which);
    watch_append_identifier(watch->narrow, out);
}

static void append_value(const struct watch *watch, const char *which, struct bytes *out)
{
    struct bytes field CLEANUP(bytes_free) = BYTES_EMPTY;
    append_field(watch, which, &field);
    watch_append_value_sql(watch, bytes_text(&field), out);
    out->failed = out->failed || field.failed;
}

static void append_bulk(const struct watch *watch, const char *which, struct bytes *out)
{
    struct bytes tag CLEANUP(bytes_free) = BYTES_EMPTY;
    (void)which;
    watch_append_bulk_tag(watch, &tag);
    watch_append_literal(bytes_text(&tag), out);
    out->failed = out->failed || tag.failed;
}

/* `VALUES (tag), (tag)` */
static void append_values(const struct group *group, append_tag_function *append, const char *which,
                          struct bytes *out)
{
    bytes_append_text(out, "VALUES ");
    for (size_t i = 0; i < group->count; i++) {
        bytes_append_text(out, i ? ", (" : "(");
        append(group->watches[i], which, out);
        bytes_append_byte(out, ')');
    }
}

/*
 * Runs at the statement's end: the setting may say by then that there were too many values, and
 * that is true for the rows queued before it too.
 */
static void append_bulk_branch(const struct group *group, const char *key, struct bytes *out)
{
    bytes_append_format(out,
                        "    IF coalesce(pg_catalog.current_setting('larder.v%s', true), '')"
                        " OPERATOR(pg_catalog.=) '*' THEN\n"
                        "        IF coalesce(pg_catalog.current_setting('larder.b%s', true), '')"
                        " OPERATOR(pg_catalog.=) '1' THEN\n"
                        "            RETURN NULL;\n"
                        "        END IF;\n"
                        "        PERFORM pg_catalog.set_config('larder.b%s', '1', true);\n"
                        "        INSERT INTO larder.outbox (tag) ",
                        key, key, key);
    append_values(group, append_bulk, "", out);
}

static void append_body(const struct group *group, const char *key, bool update, struct bytes *out)
{
    bytes_append_text(out, "BEGIN\n");
    append_bulk_branch(group, key, out);
    if (update) {
        bytes_append_text(out, ";\n    ELSE\n        INSERT INTO larder.outbox (tag) ");
        append_values(group, append_value, "OLD", out);
        bytes_append_text(out, " UNION ");
        append_values(group, append_value, "NEW", out);
    } else {
        bytes_append_text(out, ";\n    ELSIF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN\n"
                               "        INSERT INTO larder.outbox (tag) ");
        append_values(group, append_value, "NEW", out);
        bytes_append_text(out, ";\n    ELSE\n        INSERT INTO larder.outbox (tag) ");
        append_values(group, append_value, "OLD", out);
    }
    bytes_append_text(out, ";\n    END IF;\n"
                           "    IF pg_catalog.pg_sequence_last_value('larder.asleep')"
                           " OPERATOR(pg_catalog.=) 2 THEN\n"
                           "        PERFORM larder.wake();\n"
                           "    END IF;\n"
                           "    RETURN NULL;\n"
                           "END");
}

/* *ret_name is `value_<key of its text>`. */
static bool want_function(const struct install_making *making, const struct group *group,
                          const char *key, bool update, const char **ret_name)
{
    struct bytes body CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes sql CLEANUP(bytes_free) = BYTES_EMPTY;
    char own[INSTALL_KEY_SIZE];
    append_body(group, key, update, &body);
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

/* Bulk and the row before first: they are cheap, larder.fresh is not. */
static void append_fresh(const struct watch *watch, const char *key, const char *before,
                         const char *after, struct bytes *out)
{
    struct bytes memo CLEANUP(bytes_free) = BYTES_EMPTY;
    bytes_append_text(&memo, "ROW(");
    append_field(watch, before, &memo);
    bytes_append_text(&memo, ", ");
    append_field(watch, after, &memo);
    bytes_append_text(&memo, ")::text");
    bytes_append_format(out,
                        "current_setting('larder.v%s', true) IS DISTINCT FROM '*'\n"
                        "          AND current_setting('larder.m%s', true) IS DISTINCT FROM %s\n"
                        "          AND larder.fresh('%s', %s, ",
                        key, key, bytes_text(&memo), key, bytes_text(&memo));
    append_field(watch, before, out);
    bytes_append_text(out, "::text, ");
    append_field(watch, after, out);
    bytes_append_text(out, "::text)");
    out->failed = out->failed || memo.failed;
}

struct event {
    const char *name, *before, *after;
};

static const struct event row_events[] = {{"INSERT", "NEW", "NEW"}, {"DELETE", "OLD", "OLD"}};
static const struct event update_event = {"UPDATE", "OLD", "NEW"};

/* `changed` is what an UPDATE must have changed; null: rows come and go. */
static bool want_event(const struct install_making *making, const struct group *group,
                       const struct watch *changed, const struct event *event, const char *key,
                       const char *function)
{
    struct bytes when CLEANUP(bytes_free) = BYTES_EMPTY;
    if (changed) {
        install_append_changed(making, changed, &when);
        bytes_append_text(&when, "\n          AND ");
    }
    append_fresh(group->watches[0], key, event->before, event->after, &when);
    const char *call = arena_format(making->arena, "%s()", function);
    const struct install_trigger trigger = {
        .event = event->name, .when = bytes_text(&when), .call = call};
    return call && !when.failed && install_want_trigger(making, making->table, &trigger);
}

/* What the group's settings end in. */
static bool group_key(const struct group *group, bool update, char ret_key[static INSTALL_KEY_SIZE])
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    bytes_append_text(&text, update ? "update " : "rows ");
    append_values(group, append_bulk, "", &text);
    return !text.failed && install_key(bytes_span(&text), ret_key);
}

static bool want_group_rows(const struct install_making *making, const struct group *group)
{
    char key[INSTALL_KEY_SIZE];
    const char *function;
    if (!group_key(group, false, key) || !want_function(making, group, key, false, &function))
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(row_events); i++)
        if (!want_event(making, group, NULL, &row_events[i], key, function))
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
    const struct group group = {.watches = &watch, .count = 1};
    char key[INSTALL_KEY_SIZE];
    const char *function;
    struct watch wide;
    return group_key(&group, true, key) && want_function(making, &group, key, true, &function) &&
           with_narrow(making, watch, &wide) &&
           want_event(making, &group, &wide, &update_event, key, function);
}

static bool same_narrow(const struct watch *left, const struct watch *right)
{
    return left->narrow && right->narrow && strcmp(left->narrow, right->narrow) == 0;
}

/* The group that watches[first] opens; none when one before it has the same column. */
static bool want_rows_from(const struct install_making *making, size_t first)
{
    const struct watch **watches = arena_array(making->arena, making->count, sizeof *watches);
    struct group group = {.watches = watches};
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
