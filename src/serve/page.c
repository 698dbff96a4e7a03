#include "serve/page.h"

#include "serve/body_tag.h"

const struct value *page_cursor(const struct route *route, const struct value *values)
{
    const struct value *cursor = &values[route->page.cursor - 1];
    return cursor->state == VALUE_TEXT ? cursor : NULL;
}

/* The statement's own values, and behind them the key's. */
static const char *const *values_join(const struct db_statement *statement,
                                      const struct cursor *cursor, size_t count,
                                      struct arena *arena)
{
    const size_t own = (size_t)statement->parameter_count;
    const char **joined = arena_array(arena, own + count, sizeof *joined);
    if (!joined)
        return NULL;
    memcpy(joined, statement->values, own * sizeof *joined);
    memcpy(joined + own, cursor->texts, count * sizeof *joined);
    return joined;
}

bool page_statement(const struct route *route, const struct learned *learned,
                    const struct value *values, struct arena *arena, struct db_statement *statement)
{
    const size_t count = route->page.column_count;
    const struct value *value = count ? page_cursor(route, values) : NULL;
    struct cursor cursor;
    if (!value)
        return true;
    if (!cursor_read(value->text, count, arena, &cursor))
        return false;
    enum db_page_side side = cursor.before ? DB_PAGE_BEFORE : DB_PAGE_AFTER;
    statement->values = values_join(statement, &cursor, count, arena);
    statement->id = learned->page.ids[side];
    statement->sql = learned->page.sqls[side];
    statement->types = learned->page.types;
    statement->parameter_count += (int)count;
    return statement->values;
}

/* The cursors' keys; null data: there is no such page. */
struct page_keys {
    struct span next, previous;
};

/*
 * Where the page was come to from the page before it, that one is there still: at least the row
 * that the cursor was made of was, and if that is gone the page before tells so by being empty.
 */
static struct page_keys keys_of(bool given, bool before, const struct db_result *result)
{
    struct span far = db_result_value(result, 0, DB_PAGE_FAR);
    struct span near = db_result_value(result, 0, DB_PAGE_NEAR);
    if (before)
        return (struct page_keys){.next = near, .previous = far};
    return (struct page_keys){.next = far, .previous = given ? near : (struct span){0}};
}

static bool key_write(const struct cursor_owner *owner, bool before, struct span key,
                      struct arena *arena, struct span *ret_text)
{
    *ret_text = (struct span){0};
    return !key.data || cursor_write(owner, before, key, arena, ret_text);
}

enum page_outcome page_cursors_of(const struct cursor_owner *owner, const struct route *route,
                                  const struct value *values, const struct db_result *result,
                                  struct arena *arena, struct page_cursors *ret_cursors)
{
    struct page_cursors cursors = {0};
    const struct value *value = route->page.column_count ? page_cursor(route, values) : NULL;
    struct cursor cursor = {0};
    *ret_cursors = cursors;
    if (!route->page.column_count || db_result_columns(result) < DB_PAGE_RESULTS)
        return PAGE_GOOD;
    struct span far = db_result_value(result, 0, DB_PAGE_FAR);
    if (far.data && span_equal(far, db_result_value(result, 0, DB_PAGE_BEYOND)))
        return PAGE_TIED;
    if (value && !cursor_read(value->text, route->page.column_count, arena, &cursor))
        return PAGE_MEMORY;
    struct page_keys keys = keys_of(value, cursor.before, result);
    if (!key_write(owner, false, keys.next, arena, &cursors.next) ||
        !key_write(owner, true, keys.previous, arena, &cursors.previous))
        return PAGE_MEMORY;
    if (cursors.next.size > ENTRY_CURSOR_MAX || cursors.previous.size > ENTRY_CURSOR_MAX)
        return PAGE_LONG;
    *ret_cursors = cursors;
    return PAGE_GOOD;
}

bool page_tag(const struct digest_key *key, struct span body, const struct page_cursors *cursors,
              char ret_tag[static ENTRY_TAG_SIZE + 1])
{
    struct bytes whole CLEANUP(bytes_free) = BYTES_EMPTY;
    if (!body_tag_make(key, body, ret_tag))
        return false;
    if (!cursors->next.size && !cursors->previous.size)
        return true;
    bytes_append_format(&whole, "%s\n%.*s\n%.*s", ret_tag, SPAN_PRINTF(cursors->next),
                        SPAN_PRINTF(cursors->previous));
    return !whole.failed && body_tag_make(key, bytes_span(&whole), ret_tag);
}
