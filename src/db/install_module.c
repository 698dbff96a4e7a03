#include "db/install_module.h"

#include "db/array.h"

/* `,count,"name","name"` */
static void append_names(const char *const *names, size_t count, struct bytes *out)
{
    bytes_append_format(out, ",%zu", count);
    for (size_t i = 0; i < count; i++) {
        bytes_append_byte(out, ',');
        db_array_append(span_of(names[i]), out);
    }
}

static void append_watch(const struct watch *watch, struct bytes *out)
{
    struct bytes stem CLEANUP(bytes_free) = BYTES_EMPTY;
    (watch->narrow_count ? watch_append_narrowed : watch_append_tag)(watch, &stem);
    bytes_append_text(out, watch->updates ? "updates," : "rows,");
    db_array_append(bytes_span(&stem), out);
    append_names(watch->columns, watch->column_count, out);
    append_names(watch->narrow, watch->narrow_count, out);
    out->failed = out->failed || stem.failed;
}

static void append_call(const struct install_making *making, struct bytes *out)
{
    struct bytes words CLEANUP(bytes_free) = BYTES_EMPTY;
    for (size_t i = 0; i < making->count; i++) {
        bytes_append_byte(&words, i ? ',' : '{');
        append_watch(&making->watches[i], &words);
    }
    bytes_append_byte(&words, '}');
    bytes_append_text(out, "strike(\n        ");
    watch_append_literal(bytes_text(&words), out);
    bytes_append_byte(out, ')');
    out->failed = out->failed || words.failed;
}

static void add_names(struct watch *all, const char **columns, const char *const *names,
                      size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!watch_has_name(columns, all->column_count, names[i]))
            columns[all->column_count++] = names[i];
}

/* One watch that reads all whose change strikes any of them. */
static bool unite(const struct install_making *making, struct watch *ret_all)
{
    struct watch all = *making->watches;
    size_t most = 0;
    for (size_t i = 0; i < making->count; i++)
        most += making->watches[i].column_count + making->watches[i].narrow_count;
    const char **columns = arena_array(making->arena, most, sizeof *columns);
    if (!columns)
        return false;
    all.columns = columns;
    all.column_count = 0;
    for (size_t i = 0; i < making->count; i++) {
        const struct watch *watch = &making->watches[i];
        add_names(&all, columns, watch->columns, watch->column_count);
        if (!watch->updates)
            add_names(&all, columns, watch->narrow, watch->narrow_count);
    }
    *ret_all = all;
    return true;
}

static bool any_rows(const struct install_making *making)
{
    bool any = false;
    for (size_t i = 0; i < making->count; i++)
        any = any || !making->watches[i].updates;
    return any;
}

bool install_want_module(const struct install_making *making)
{
    struct bytes event CLEANUP(bytes_free) = BYTES_EMPTY;
    struct bytes call CLEANUP(bytes_free) = BYTES_EMPTY;
    bool rows = any_rows(making);
    struct watch all;
    if (!unite(making, &all))
        return false;
    bytes_append_text(&event, rows ? "INSERT OR DELETE" : "");
    if (all.column_count) {
        bytes_append_text(&event, rows ? " OR " : "");
        install_append_update(making, &all, &event);
    }
    append_call(making, &call);
    const struct install_trigger trigger = {
        .event = bytes_text(&event), .call = bytes_text(&call), .module = true};
    return !event.failed && !call.failed && install_want_trigger(making, making->table, &trigger);
}
