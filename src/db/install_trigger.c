#include "db/install_trigger.h"

#include <string.h>

#include "base/digest.h"
#include "db/install_module.h"
#include "db/install_narrow.h"

void install_append_table(const char *schema, const char *table, struct bytes *out)
{
    watch_append_identifier(schema, out);
    bytes_append_byte(out, '.');
    watch_append_identifier(table, out);
}

bool install_key(struct span text, char ret_key[static INSTALL_KEY_SIZE])
{
    unsigned char digest[DIGEST_SIZE];
    if (!digest_sha256(text, digest, NULL))
        return false;
    digest_hex(digest, (INSTALL_KEY_SIZE - 1) / 2, ret_key);
    return true;
}

bool install_want(const struct install_making *making, enum install_kind kind,
                  const struct install_table *table, const char *name, const struct bytes *sql)
{
    struct install_thing thing = {
        .kind = kind,
        .schema = table ? table->schema : "",
        .table = table ? table->table : "",
        .name = arena_text(making->arena, span_of(name)),
        .sql = sql->failed ? NULL : arena_text(making->arena, bytes_span(sql)),
    };
    bytes_append(making->things, &thing, sizeof thing);
    return thing.name && thing.sql && !making->things->failed;
}

/* `larder_update_<key of its text>`: by the first word of the event. Null: memory. */
static const char *trigger_name(const struct install_making *making, const char *event,
                                const struct bytes *text)
{
    char key[INSTALL_KEY_SIZE];
    char word[16] = "";
    for (size_t i = 0; i < sizeof word - 1 && event[i] >= 'A' && event[i] <= 'Z'; i++)
        word[i] = (char)(event[i] - 'A' + 'a');
    if (text->failed || !install_key(bytes_span(text), key))
        return NULL;
    return arena_format(making->arena, "larder_%s_%s", word, key);
}

static void append_always(const struct install_table *table, const char *name, struct bytes *sql)
{
    bytes_append_text(sql, "ALTER TABLE ");
    install_append_table(table->schema, table->table, sql);
    bytes_append_format(sql, " ENABLE ALWAYS TRIGGER %s;\n", name);
}

bool install_want_trigger(const struct install_making *making, const struct install_table *table,
                          const struct install_trigger *trigger)
{
    struct bytes body CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes sql CLEANUP(bytes_free) = BYTES_EMPTY;
    bytes_append_format(&body, " AFTER %s ON ", trigger->event);
    install_append_table(table->schema, table->table, &body);
    bytes_append_format(&body, " FOR EACH %s",
                        trigger->when || trigger->module ? "ROW" : "STATEMENT");
    if (trigger->when)
        bytes_append_format(&body, "\n    WHEN (%s)", trigger->when);
    bytes_append_format(&body, "\n    EXECUTE FUNCTION %s.%s;\n",
                        trigger->module ? "larder_ring" : "larder", trigger->call);
    if (making->settings->always)
        bytes_append_text(&body, "-- It fires for replicated changes too.\n");
    const char *name = trigger_name(making, trigger->event, &body);
    if (!name)
        return false;
    bytes_append_format(&sql, "CREATE TRIGGER %s%s", name, bytes_text(&body));
    if (making->settings->always)
        append_always(table, name, &sql);
    return install_want(making, INSTALL_TRIGGER, table, name, &sql);
}

/* The first event of a transaction alone. */
static void append_unsettled(const char *key, struct bytes *out)
{
    bytes_append_format(out,
                        "current_setting('larder.t%s', true) IS DISTINCT FROM '1'\n"
                        "          AND set_config('larder.t%s', '1', true) IS NOT NULL",
                        key, key);
}

const struct install_column *install_column_find(const struct install_table *table,
                                                 const char *name)
{
    static const struct install_column unknown = {.name = ""};
    for (size_t i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].name, name) == 0)
            return &table->columns[i];
    return &unknown;
}

static bool is_plain(const struct install_table *table, const char *name)
{
    return install_column_find(table, name)->plain;
}

static bool rewrites(const struct install_table *table)
{
    bool any = table->rewrites;
    for (size_t i = 0; i < table->partition_count; i++)
        any = any || table->partitions[i].rewrites;
    return any;
}

void install_append_update(const struct install_making *making, const struct watch *watch,
                           struct bytes *out)
{
    bytes_append_text(out, "UPDATE");
    if (rewrites(making->table))
        return;
    for (size_t i = 0; i < watch->column_count; i++) {
        bytes_append_text(out, i ? ", " : " OF ");
        watch_append_identifier(watch->columns[i], out);
    }
}

static void append_row(const struct install_making *making, const struct watch *watch,
                       const char *which, struct bytes *out)
{
    const char *between = "ROW(";
    for (size_t i = 0; i < watch->column_count; i++) {
        if (is_plain(making->table, watch->columns[i]))
            continue;
        bytes_append_format(out, "%s%s.", between, which);
        watch_append_identifier(watch->columns[i], out);
        between = ", ";
    }
    bytes_append_text(out, ")::record");
}

/*
 * `=` takes 1.0 for 1.00, and has nothing to say of json; so only plain types are compared by it,
 * the others byte by byte.
 */
void install_append_changed(const struct install_making *making, const struct watch *watch,
                            struct bytes *out)
{
    const char *between = "(";
    size_t others = 0;
    for (size_t i = 0; i < watch->column_count; i++) {
        if (!is_plain(making->table, watch->columns[i])) {
            others++;
            continue;
        }
        bytes_append_format(out, "%sOLD.", between);
        watch_append_identifier(watch->columns[i], out);
        bytes_append_text(out, " IS DISTINCT FROM NEW.");
        watch_append_identifier(watch->columns[i], out);
        between = " OR ";
    }
    if (others) {
        bytes_append_text(out, between);
        append_row(making, watch, "OLD", out);
        bytes_append_text(out, " *<> ");
        append_row(making, watch, "NEW", out);
    }
    bytes_append_byte(out, ')');
}

static bool is_whole(const struct watch *watch)
{
    return !watch->narrow_count && !watch->updates;
}

static bool is_any(const struct watch *watch)
{
    (void)watch;
    return true;
}

/* `strike('tag', 'tag')`, the tags of those watches that count; false when there is none. */
static bool append_strike(const struct install_making *making, bool (*counts)(const struct watch *),
                          struct bytes *out)
{
    bool any = false;
    bytes_append_text(out, "strike(");
    for (size_t i = 0; i < making->count; i++) {
        struct bytes tag CLEANUP(bytes_free) = BYTES_EMPTY;
        if (!counts(&making->watches[i]))
            continue;
        const struct watch *watch = &making->watches[i];
        watch_append_own_tag(watch, &tag);
        bytes_append_text(out, any ? ", " : "");
        watch_append_literal(bytes_text(&tag), out);
        out->failed = out->failed || tag.failed;
        any = true;
    }
    bytes_append_byte(out, ')');
    return any;
}

/* Rows that come and go strike all tags of the table. */
static bool want_rows(const struct install_making *making)
{
    struct bytes call CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes when CLEANUP(bytes_free) = BYTES_EMPTY;
    char key[INSTALL_KEY_SIZE];
    if (install_narrowed_carries_rows(making) || !append_strike(making, is_whole, &call))
        return true;
    if (call.failed || !install_key(bytes_span(&call), key))
        return false;
    append_unsettled(key, &when);
    const struct install_trigger trigger = {
        .event = "INSERT OR DELETE", .when = bytes_text(&when), .call = bytes_text(&call)};
    return !when.failed && install_want_trigger(making, making->table, &trigger);
}

static bool want_update(const struct install_making *making, const struct watch *watch)
{
    struct bytes call CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes when CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes event CLEANUP(bytes_free) = BYTES_EMPTY;
    struct install_making one = *making;
    char key[INSTALL_KEY_SIZE];
    one.watches = watch;
    one.count = 1;
    append_strike(&one, is_any, &call);
    if (call.failed || !install_key(bytes_span(&call), key))
        return false;
    install_append_changed(making, watch, &when);
    bytes_append_text(&when, "\n          AND ");
    append_unsettled(key, &when);
    install_append_update(making, watch, &event);
    const struct install_trigger trigger = {
        .event = bytes_text(&event), .when = bytes_text(&when), .call = bytes_text(&call)};
    return !when.failed && !event.failed && install_want_trigger(making, making->table, &trigger);
}

static bool want_truncate(const struct install_making *making, const struct install_table *table)
{
    struct bytes call CLEANUP(bytes_free) = BYTES_EMPTY;
    append_strike(making, is_any, &call);
    const struct install_trigger trigger = {.event = "TRUNCATE", .call = bytes_text(&call)};
    return !call.failed && install_want_trigger(making, table, &trigger);
}

static bool want_truncates(const struct install_making *making)
{
    const struct install_table *table = making->table;
    for (size_t i = 0; i < table->partition_count; i++)
        if (table->partitions[i].kind != 'f' && !want_truncate(making, &table->partitions[i]))
            return false;
    return want_truncate(making, table);
}

bool install_want_triggers(const struct install_making *making)
{
    if (!want_truncates(making))
        return false;
    if (making->settings->module)
        return install_want_module(making);
    if (!want_rows(making))
        return false;
    for (size_t i = 0; i < making->count; i++) {
        const struct watch *watch = &making->watches[i];
        if (!watch->narrow_count && watch->column_count &&
            !install_narrowed_carries_update(making, watch) && !want_update(making, watch))
            return false;
    }
    return install_want_narrowed(making);
}
