/*
 * What a statement's functions leave unsaid: whether they read tables that nobody tells of, or give
 * what is not in their arguments.
 *
 * Immutable functions are taken at their word, and so are the built-in ones but for a few; a body
 * that PostgreSQL has parsed has been looked into already (db/reads.c).
 */
#ifndef LARDER_DB_FUNCTIONS_H
#define LARDER_DB_FUNCTIONS_H

#include "db/connection.h"
#include "db/depends.h"

/* Appends a struct hazard_note unless it is there; `name` is not copied. */
void hazard_add(struct bytes *notes, enum hazard kind, const char *name);

/*
 * Notes what there is to say of the functions, given as the text of an array of OIDs. *ret_hidden:
 * one of them may read tables.
 */
MUST_CHECK bool functions_judge(struct db_connection *connection, const char *oids,
                                struct arena *arena, struct bytes *hazards, bool *ret_hidden,
                                struct db_failure *failure);

#endif
