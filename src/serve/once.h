/*
 * A write that its client may send again: Idempotency-Key.
 *
 * What the first one was answered is recorded in the transaction that it ran in, so there is no
 * moment at which it is done and not recorded. Whoever comes with the same key and says the same is
 * answered from the record. A write that failed, or
 * found no row to change, left nothing: its key neither.
 */
#ifndef LARDER_SERVE_ONCE_H
#define LARDER_SERVE_ONCE_H

#include "base/digest.h"
#include "db/write.h"
#include "serve/exchange.h"

struct once {
    bool wanted;         /* the request has a key, and its method is not idempotent by itself */
    struct db_once once; /* points into the rest: not to be copied apart from it */
    unsigned char key[DIGEST_SIZE], body[DIGEST_SIZE];
};

/* False: the header is malformed, and the exchange is settled. */
MUST_CHECK bool once_read(struct exchange *exchange, struct once *ret_once);

/*
 * db_write.record, with the exchange for its context: all of the answer that these rows make. False
 * where that is none to be kept, and then exchange.unrecorded; or memory.
 */
MUST_CHECK bool once_record(void *exchange, const struct db_result *rows, struct span *ret_record);

/* Settles with what a write means that was not run for its key. */
void once_answer(struct exchange *exchange, const struct db_written *written);

#endif
