/*
 * Words in a statement's string literals that PostgreSQL reads as a date or a time: 'today', 'now'.
 *
 * Where a literal has such a type it is read when the statement is prepared, so its value stays
 * that of one moment for as long as a session keeps the statement, however often it runs. Nothing
 * of the word is left in what PostgreSQL stores of a statement.
 */
#ifndef LARDER_DB_LITERALS_H
#define LARDER_DB_LITERALS_H

#include "db/connection.h"
#include "route/route.h"

/*
 * Appends a HAZARD_LITERAL for each literal of such a word that PostgreSQL takes for a date or a
 * time, and a HAZARD_CLOCK for one that is made such by a cast from text: of the words in the
 * statement alone, not in views or functions. `types` are the parameters' OIDs.
 */
MUST_CHECK bool literals_judge(struct db_connection *connection, const struct route *route,
                               const uint32_t *types, struct arena *arena, struct bytes *hazards,
                               struct db_failure *failure);

#endif
