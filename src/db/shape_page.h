/*
 * The SQL around a statement whose rows are given page by page, in the order of a key (@page).
 *
 * A page begins behind a row's key, or ends before it, and no row is counted to get there: the
 * condition on the key stands where PostgreSQL can push it down to an index on the key's columns.
 * So a page costs the same however deep it lies, and rows that come or go elsewhere move none.
 *
 * NULL is a key's value like any other, above all others, as it is in ORDER BY.
 */
#ifndef LARDER_DB_SHAPE_PAGE_H
#define LARDER_DB_SHAPE_PAGE_H

#include "db/shape.h"

struct db_page_column {
    struct span name; /* of the statement's result */
    bool descending;
    bool nullable; /* it may be NULL: an index serves such an order less well */
    bool moment;   /* a date or timestamp, whose text depends on the session but in JSON */
};

/* Where a page is. */
enum db_page_side {
    DB_PAGE_FIRST,
    DB_PAGE_AFTER,  /* behind the key in the $n from `key` on */
    DB_PAGE_BEFORE, /* before it: the nearest rows, in the same order as elsewhere */
    DB_PAGE_SIDES,
};

struct db_page {
    const struct db_page_column *columns;
    size_t column_count;
    unsigned size; /* n of the $n that is the page's size; an integer above 0 */
    unsigned key;  /* n of the $n of the first column's value; the others follow */
    const struct db_shape_tag *tags;
    size_t tag_count;
};

/* The columns of the one row that comes. */
enum db_page_result {
    DB_PAGE_BODY,   /* the array */
    DB_PAGE_TAGS,   /* as db_shape_wrap's second column; "" where there are none */
    DB_PAGE_FAR,    /* key of the last row in the direction; null: nothing lies beyond it */
    DB_PAGE_NEAR,   /* key of the first row in the direction; null: the page has no row */
    DB_PAGE_BEYOND, /* key of the row beyond; the same as FAR: the key does not tell rows apart */
    DB_PAGE_RESULTS,
};

/*
 * A key is a JSON array with a text, or null, for each column. Returns the terminated SQL in
 * `arena` (null: memory); *ret_offset is how many characters stand before the statement in it.
 */
const char *db_shape_wrap_page(const struct db_page *page, enum db_page_side side,
                               struct span statement, struct arena *arena,
                               size_t *ret_offset) MUST_CHECK;

#endif
