/*
 * What kind of statement an SQL text is, as far as its first words tell: enough to know whether it
 * may run within a write's transaction, and how its rows can be had. Pure.
 */
#ifndef LARDER_ROUTE_STATEMENT_KIND_H
#define LARDER_ROUTE_STATEMENT_KIND_H

#include "base/span.h"

/*
 * Why the statement that `text` begins with can be none of a write; null: it can. What ends the
 * transaction, speaks another protocol, or changes the session for those after it.
 */
const char *statement_problem(struct span text);

/* May it stand in WITH name AS (…)? SELECT, VALUES, TABLE, INSERT, UPDATE, DELETE, MERGE, WITH. */
bool statement_is_relation(struct span sql);

/* Does it only take rows away? */
bool statement_deletes(struct span sql);

/*
 * Where the statement proper begins behind the list of a WITH, as in "WITH a AS (…), b AS (…)
 * INSERT …"; 0 when it begins with no WITH, or with one whose end can't be told (SEARCH, CYCLE).
 * What changes data in such a list may only stand at the top, so nothing can be put around it.
 */
size_t statement_main(struct span sql);

/* Does the word stand outside of all brackets, as a keyword may? `word` has small letters. */
bool statement_has_outermost(struct span sql, const char *word);

/*
 * May a column that is NOT NULL in its table be NULL in the rows? True where the text has, at any
 * depth, an outer join, a set operation or grouping sets: more often than need be, never too
 * seldom.
 */
bool statement_may_add_nulls(struct span sql);

#endif
