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

int pending_count(void);

/*
 * Tags from that one on, as they were added, where they are not to go into the ring: a line each,
 * palloc; null: none. Of a transaction all go one way, which the first tag decides. Who adds puts
 * its own: what another did in the midst of it, by a cast that writes, may be in a savepoint.
 */
char *pending_for_outbox(int first);

/* Another number for each transaction of this backend. */
uint64 pending_transaction(void);

#endif
