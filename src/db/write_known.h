/*
 * What the writes of a process learn and share: whether the database can tell a transaction's tags,
 * which transactions are struck and still stand in the outbox, and the columns of constraints. Not
 * for other folders.
 */
#ifndef LARDER_DB_WRITE_KNOWN_H
#define LARDER_DB_WRITE_KNOWN_H

#include <stdint.h>

#include "db/connection.h"

struct write_known;

struct write_known *write_known_new(void) MUST_CHECK;

/* Null is allowed. */
void write_known_free(struct write_known *known);

/*
 * Can the database tell a transaction's tags (larder.note)? Asked on `connection` when it is not
 * known, once a second at most where it can't. A failure to ask counts as no. *ret_leave: and may
 * the session write tags of its own to the outbox?
 */
void write_known_tags(struct write_known *known, struct db_connection *connection, bool *ret_tags,
                      bool *ret_leave);

/* It turned out that it can't. */
void write_known_tagless(struct write_known *known);

/* Adds struck transactions; those beyond what is remembered are left to larderd. */
void write_known_struck(struct write_known *known, const uint64_t *transactions, size_t count);

/*
 * Takes all of them for the caller to tell the database; the text of an array, or null: none, or
 * another thread is telling and will tell these too. After each text it must be called again.
 */
char *write_known_struck_take(struct write_known *known, bool continued) MUST_CHECK;

/* The telling ended in a failure: nobody tells for a while. */
void write_known_struck_failed(struct write_known *known);

/* The route's folder was loaded anew, perhaps since tables were changed: constraints are forgotten.
 */
void write_known_forget(struct write_known *known);

/* Fills failure->columns where it names a constraint; asks on `connection` when it must. */
void write_known_columns(struct write_known *known, struct db_connection *connection,
                         struct db_failure *failure);

#endif
