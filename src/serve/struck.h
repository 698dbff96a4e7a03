/*
 * Transactions whose tags a responder has bumped: the database is told, so that larderd need not
 * bump them again. One thread at a time tells of all there are, so that under load many writes
 * share one round trip.
 */
#ifndef LARDER_SERVE_STRUCK_H
#define LARDER_SERVE_STRUCK_H

#include "db/write.h"

struct struck; /* those of a process */

/* Null: memory. */
struct struck *struck_new(void) MUST_CHECK;

/* Null is allowed. */
void struck_free(struct struck *struck);

/*
 * Tells of the transaction, or leaves it to the thread that is telling of others. What is not told
 * costs a second bump, nothing else.
 */
void struck_tell(struct struck *struck, struct db_pool *pool, uint64_t transaction);

#endif
