/*
 * The tags that the transaction of this backend has struck, each once. What a savepoint takes back
 * they lose. At the commit they go into the ring, unless they are in the outbox already.
 */
#ifndef LARDER_POSTGRES_PENDING_H
#define LARDER_POSTGRES_PENDING_H

#include <postgres.h>

/* From _PG_init. */
void pending_prepare(void);

/* For the functions below. */
uint32 pending_hash(const char *text, Size size);

bool pending_has(const char *text, Size size, uint32 hash);

/* False: it is there already. */
bool pending_add(const char *text, Size size, uint32 hash);

/*
 * Tags that were added since the last call and are not to go into the ring, a line each, palloc;
 * null: none. Of a transaction all go one way, which the first tag decides.
 */
char *pending_for_outbox(void);

/* Another number for each transaction of this backend. */
uint64 pending_transaction(void);

#endif
