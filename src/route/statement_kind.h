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

/*
 * May it leave something in the session, as far as it says itself: a setting, a lock of the
 * session, a temporary table? True more often than need be: of whatever is no relation, and where
 * the name of such a function stands in a string or a comment too.
 */
bool statement_keeps(struct span sql);

/* Does it only take rows away? */
bool statement_deletes(struct span sql);

/*
 * Where the statement proper begins behind the list of a WITH, as in "WITH a AS (…), b AS (…)
 * INSERT …"; 0 when it begins with no WITH, or with one whose end can't be told (SEARCH, CYCLE).
 * What changes data in such a list may only stand at the top, so nothing can be put around it.
 */
size_t statement_main(struct span sql);

/*
 * The first INSERT, UPDATE, DELETE or MERGE that is the statement itself or one in the list of its
 * WITH; empty: none, or a list whose end can't be told.
 */
struct span statement_change(struct span sql);

/* Does the word stand outside of all brackets, as a keyword may? `word` has small letters. */
bool statement_has_outermost(struct span sql, const char *word);

/*
 * May a column that is NOT NULL in its table be NULL in the rows? True where the text has, at any
 * depth, an outer join, a set operation or grouping sets: more often than need be, never too
 * seldom.
 */
bool statement_may_add_nulls(struct span sql);

/*
 * The n of the first ORDER BY whose first expression is $n alone, which is the same for every row;
 * 0: there is none.
 */
unsigned statement_order_parameter(struct span sql);

#endif
