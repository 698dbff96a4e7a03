#include "db/install_narrow.h"

#include <string.h>

#include "db/install_value.h"

static const struct install_event row_events[] = {{"INSERT", "NEW", "NEW"},
                                                  {"DELETE", "OLD", "OLD"}};
static const struct install_event update_event = {NULL, "OLD", "NEW"};

static void append_field(const struct install_group *group, size_t column, const char *which,
                         struct bytes *out)
{
    bytes_append_format(out, "%s.", which);
    watch_append_identifier(group->lead->narrow[column], out);
    bytes_append_text(out, install_group_column(group, column)->brief ? "" : "::text");
}

/* `larder.value_…(OLD.id, NEW.id)` */
static void append_call(const struct install_group *group, const char *function,
                        const struct install_event *event, struct bytes *out)
{
    bytes_append_format(out, "larder.%s(", function);
    for (size_t i = 0; i < group->lead->narrow_count; i++) {
        bytes_append_text(out, i ? ", " : "");
        if (install_event_has_two(event)) {
            append_field(group, i, event->before, out);
            bytes_append_text(out, ", ");
        }
        append_field(group, i, event->after, out);
    }
    bytes_append_byte(out, ')');
}

/*
 * PostgreSQL reads the tree of a WHEN anew for each statement, at thirty instructions a character
 * of its text, also what is not reached. So it holds no more than keeps a statement of many rows
 * short. It never lets an event through: its function strikes.
 */
static void append_strike(const struct install_group *group, const char *key, const char *function,
                          const struct install_event *event, struct bytes *out)
{
    bytes_append_format(out,
                        "current_setting('larder.v%s', true) IS DISTINCT FROM '*'\n"
                        "          AND ",
                        key);
    append_call(group, function, event, out);
}

/* `changed` is what an UPDATE must have changed; null: rows come or go. */
static bool want_event(const struct install_making *making, const struct install_group *group,
                       const struct watch *changed, const struct install_event *event,
                       const char *key)
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
    if (!install_want_value(making, group, key, event, &function))
        return false;
    append_strike(group, key, function, event, &when);
    const struct install_trigger trigger = {
        .event = bytes_text(&words), .when = bytes_text(&when), .call = "strike()"};
    return !when.failed && !words.failed && install_want_trigger(making, making->table, &trigger);
}

/* What the group's settings end in. */
static bool group_key(const struct install_group *group, const char *event,
                      char ret_key[static INSTALL_KEY_SIZE])
{
    struct bytes text CLEANUP(bytes_free) = BYTES_EMPTY;
    bytes_append_text(&text, event);
    for (size_t i = 0; i < group->count; i++)
        install_append_bulk(group->watches[i], &text);
    return !text.failed && install_key(bytes_span(&text), ret_key);
}

static bool want_group_rows(const struct install_making *making, const struct install_group *group)
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
static bool carry(const struct install_making *making, const struct watch *by,
                  struct install_group *group)
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
    struct install_group group = {.table = making->table, .watches = watches, .lead = lead};
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
    struct install_group group = {.table = making->table, .watches = watches, .lead = lead};
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
