#include "db/shape_page.h"

#include "base/utf8.h"

#define NEWLINE "E'\\n'"

/* One wrapping: what the small functions below share. */
struct paging {
    const struct db_page *page;
    enum db_page_side side;
    struct bytes *out;
};

static void append_name(struct paging *paging, struct span name)
{
    bytes_append_text(paging->out, "larder_row.\"");
    bytes_append_span(paging->out, name); /* an identifier: nothing in it needs quoting */
    bytes_append_byte(paging->out, '"');
}

static void append_column(struct paging *paging, size_t index)
{
    append_name(paging, paging->page->columns[index].name);
}

static void append_value(struct paging *paging, size_t index)
{
    bytes_append_format(paging->out, "$%u", paging->page->key + (unsigned)index);
}

/* Does the key go down in this direction? */
static bool goes_down(const struct paging *paging, size_t index)
{
    return paging->page->columns[index].descending != (paging->side == DB_PAGE_BEFORE);
}

/* How many columns from `first` on are compared as one row: an index serves such a comparison. */
static size_t run_length(const struct paging *paging, size_t first)
{
    const struct db_page *page = paging->page;
    size_t end = first + 1;
    if (page->columns[first].nullable)
        return 1;
    while (end < page->column_count && !page->columns[end].nullable &&
           page->columns[end].descending == page->columns[first].descending)
        end++;
    return end - first;
}

/* "(a, b) < ($1, $2)", or "<=". */
static void append_comparison(struct paging *paging, size_t first, size_t count, bool or_equal)
{
    bytes_append_text(paging->out, "(");
    for (size_t i = 0; i < count; i++) {
        bytes_append_text(paging->out, i ? ", " : "");
        append_column(paging, first + i);
    }
    bytes_append_format(paging->out, ") %s%s (", goes_down(paging, first) ? "<" : ">",
                        or_equal ? "=" : "");
    for (size_t i = 0; i < count; i++) {
        bytes_append_text(paging->out, i ? ", " : "");
        append_value(paging, first + i);
    }
    bytes_append_text(paging->out, ")");
}

/*
 * With NULL above everything else: what a comparison with it leaves open. IS NULL would hold of a
 * composite value whose fields are all NULL, too.
 */
static void append_nulls(struct paging *paging, size_t index, bool or_equal)
{
    bool down = goes_down(paging, index);
    bytes_append_text(paging->out, " OR (");
    if (down)
        append_value(paging, index);
    else
        append_column(paging, index);
    bytes_append_text(paging->out, " IS NOT DISTINCT FROM NULL");
    if (!or_equal) {
        bytes_append_text(paging->out, " AND ");
        if (down)
            append_column(paging, index);
        else
            append_value(paging, index);
        bytes_append_text(paging->out, " IS DISTINCT FROM NULL");
    }
    bytes_append_text(paging->out, ")");
}

static void append_run(struct paging *paging, size_t first, bool or_equal)
{
    bytes_append_text(paging->out, "(");
    append_comparison(paging, first, run_length(paging, first), or_equal);
    if (paging->page->columns[first].nullable)
        append_nulls(paging, first, or_equal);
    bytes_append_text(paging->out, ")");
}

/* "R1 >= … AND (R1 > … OR (R2 …))": the first comparison is one that an index serves. */
static void append_condition(struct paging *paging)
{
    size_t count = paging->page->column_count, open = 0;
    for (size_t first = 0; first < count;) {
        size_t next = first + run_length(paging, first);
        if (next < count) {
            append_run(paging, first, true);
            bytes_append_text(paging->out, " AND (");
        }
        append_run(paging, first, false);
        if (next < count) {
            bytes_append_text(paging->out, " OR (");
            open += 2;
        }
        first = next;
    }
    while (open--)
        bytes_append_byte(paging->out, ')');
}

/* ORDER BY's own places for NULL: last when it goes up, first when it goes down. */
static void append_order(struct paging *paging)
{
    for (size_t i = 0; i < paging->page->column_count; i++) {
        bytes_append_text(paging->out, i ? ", " : " ORDER BY ");
        append_column(paging, i);
        bytes_append_text(paging->out, goes_down(paging, i) ? " DESC" : "");
    }
}

static void append_key(struct paging *paging)
{
    bytes_append_text(paging->out, "json_build_array(");
    for (size_t i = 0; i < paging->page->column_count; i++) {
        bool moment = paging->page->columns[i].moment;
        bytes_append_text(paging->out, i ? ", " : "");
        bytes_append_text(paging->out, moment ? "to_json(" : "");
        append_column(paging, i);
        bytes_append_text(paging->out, moment ? ")" : "::text");
    }
    bytes_append_text(paging->out, ")::text AS larder_key");
}

/* Is it among the columns of the first `count` values of all tags? Three a tag. */
static bool is_taken(const struct db_page *page, size_t count, const char *column)
{
    bool taken = false;
    for (size_t i = 0; i < count; i++) {
        const char *other = page->tags[i / WATCH_NARROW_MAX].values[i % WATCH_NARROW_MAX].column;
        taken = taken || (other && strcmp(other, column) == 0);
    }
    return taken;
}

/* The columns that tags are made of, each once. */
static void append_tag_columns(struct paging *paging)
{
    const struct db_page *page = paging->page;
    for (size_t i = 0; i < page->tag_count * WATCH_NARROW_MAX; i++) {
        const char *column = page->tags[i / WATCH_NARROW_MAX].values[i % WATCH_NARROW_MAX].column;
        if (!column || is_taken(page, i, column))
            continue;
        bytes_append_text(paging->out, ", larder_row.");
        watch_append_identifier(column, paging->out);
    }
}

/* What is made of the rows: one more than the page holds, if there is one, tells that it goes on.
 */
static void append_results(struct paging *paging)
{
    const struct db_page *page = paging->page;
    bytes_append_format(paging->out,
                        "SELECT coalesce(json_agg(larder_row.larder_json%s) FILTER (WHERE "
                        "larder_row.larder_number <= $%u), '[]'), concat_ws(" NEWLINE ", NULL",
                        paging->side == DB_PAGE_BEFORE ? " ORDER BY larder_row.larder_number DESC"
                                                       : "",
                        page->size);
    db_shape_append_tags(DB_SHAPE_ROWS, page->tags, page->tag_count, paging->out);
    bytes_append_format(
        paging->out,
        "), CASE WHEN count(*) > $%u THEN max(larder_row.larder_key) FILTER (WHERE "
        "larder_row.larder_number = $%u) END, max(larder_row.larder_key) FILTER (WHERE "
        "larder_row.larder_number = 1), max(larder_row.larder_key) FILTER (WHERE "
        "larder_row.larder_number > $%u)",
        page->size, page->size, page->size);
}

static void append_before(struct paging *paging)
{
    append_results(paging);
    bytes_append_text(paging->out, " FROM (SELECT larder_row.*, row_number() OVER () AS "
                                   "larder_number FROM (SELECT row_to_json(larder_row.*) AS "
                                   "larder_json, ");
    append_key(paging);
    append_tag_columns(paging);
    bytes_append_text(paging->out, " FROM (");
}

static void append_after(struct paging *paging)
{
    bytes_append_text(paging->out, "\n) AS larder_row");
    if (paging->side != DB_PAGE_FIRST) {
        bytes_append_text(paging->out, " WHERE ");
        append_condition(paging);
    }
    append_order(paging);
    bytes_append_format(paging->out, " LIMIT $%u::bigint + 1) AS larder_row) AS larder_row",
                        paging->page->size);
}

const char *db_shape_wrap_page(const struct db_page *page, enum db_page_side side,
                               struct span statement, struct arena *arena, size_t *ret_offset)
{
    struct bytes sql CLEANUP(bytes_free) = BYTES_EMPTY;
    struct paging paging = {.page = page, .side = side, .out = &sql};
    append_before(&paging);
    *ret_offset = utf8_count(bytes_span(&sql));
    bytes_append_span(&sql, statement);
    append_after(&paging);
    return sql.failed ? NULL : arena_text(arena, bytes_span(&sql));
}
