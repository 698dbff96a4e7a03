/*
 * What is learnt of a route's pages (@page): the statements for each side of a key.
 */
#ifndef LARDER_DB_PAGE_H
#define LARDER_DB_PAGE_H

#include "db/connection.h"
#include "db/shape_page.h"
#include "route/route.h"

struct learned_page {
    uint64_t ids[DB_PAGE_SIDES]; /* as learned.id; those of a route without pages are 0 */
    const char *sqls[DB_PAGE_SIDES];
    size_t offsets[DB_PAGE_SIDES]; /* characters before the route's own SQL */
    uint32_t *types;               /* OIDs of the route's $n, and behind them of the key's */
    bool *nullable;                /* of each column of the key: as far as it can be told */
};

/* What the statements are made of. */
struct page_question {
    const struct route *route;
    const uint32_t *types;               /* OIDs of the route's $n */
    const struct db_description *result; /* of the bare statement; null: not asked */
    const struct db_shape_tag *tags;
    size_t tag_count;
};

/* As far as the file itself tells: every column may be NULL. False: memory. */
MUST_CHECK bool page_shape(const struct page_question *question, struct arena *arena,
                           struct learned_page *ret_page);

/*
 * The same with PostgreSQL's word on which columns are never NULL: those of tables that have them
 * NOT NULL, where the statement adds no NULLs of its own. The result has all columns of the key.
 */
MUST_CHECK bool page_ask(struct db_connection *connection, const struct page_question *question,
                         int64_t timeout, struct arena *arena, struct learned_page *ret_page,
                         struct db_failure *failure);

/* The column of the result, or -1. */
int page_result_column(const struct db_description *result, struct span name);

#endif
