/*
 * Pages (@page): from a cursor to the statement, and from the rows to the cursors of the pages
 * beside them. Pure.
 */
#ifndef LARDER_SERVE_PAGE_H
#define LARDER_SERVE_PAGE_H

#include "db/connection.h"
#include "cache/entry.h"
#include "db/learn.h"
#include "serve/cursor.h"

/* The cursor among the values of a paged route's $n; null: the first page is asked for. */
const struct value *page_cursor(const struct route *route, const struct value *values);

/*
 * Makes of the statement for the first page, which has the values of the route's own $n, that for
 * the page that the cursor among them names. False: memory.
 */
MUST_CHECK bool page_statement(const struct route *route, const struct learned *learned,
                               const struct value *values, struct arena *arena,
                               struct db_statement *statement);

/* What the rows say of the pages beside theirs. */
enum page_outcome {
    PAGE_GOOD,
    PAGE_TIED,   /* the key does not tell two rows apart: the next page would leave one out */
    PAGE_LONG,   /* the key is too long for a cursor */
    PAGE_MEMORY, /* or libcrypto refused */
};

/* Cursors in `arena`; empty: none. */
struct page_cursors {
    struct span next, previous;
};

/* Of a result of page_statement's statement. */
enum page_outcome page_cursors_of(const struct cursor_owner *owner, const struct route *route,
                                  const struct value *values, const struct db_result *result,
                                  struct arena *arena, struct page_cursors *ret_cursors) MUST_CHECK;

/*
 * The tag of an answer: of its body and, where there are any, of its cursors, so that a page that
 * got a neighbour is another answer.
 */
MUST_CHECK bool page_tag(const struct digest_key *key, struct span body,
                         const struct page_cursors *cursors,
                         char ret_tag[static ENTRY_TAG_SIZE + 1]);

#endif
