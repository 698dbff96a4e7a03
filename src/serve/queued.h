/*
 * What a write needs to be queued, as a job (serve/filing.h) or for a batch (serve/behind.h), and
 * what is answered where it can't be.
 */
#ifndef LARDER_SERVE_QUEUED_H
#define LARDER_SERVE_QUEUED_H

#include "queue/names.h"
#include "serve/once.h"

/* The texts are the exchange's, until its next document. */
struct queued {
    struct once once;
    char owner[QUEUE_OWNER_SIZE];
    char key[QUEUE_DIGEST_SIZE], content[QUEUE_DIGEST_SIZE]; /* where once.wanted */
    struct span document;
};

/*
 * Has the server what it takes? False: the exchange is settled, for a database without the record
 * with this detail.
 */
MUST_CHECK bool queued_possible(struct exchange *exchange, const char *unrecorded);

/* False: the write may not be made, or memory; the exchange is settled. */
MUST_CHECK bool queued_make(struct exchange *exchange, struct queued *ret_queued);

/* Why a write is not known to be queued. */
enum queued_refusal {
    QUEUED_OTHER,   /* the Idempotency-Key was used for another request */
    QUEUED_ROOM,    /* Redis has no room */
    QUEUED_AWAY,    /* Redis is away or takes no writes */
    QUEUED_UNKNOWN, /* Redis did not answer */
};

void queued_refuse(struct exchange *exchange, enum queued_refusal refusal);

/* Logs what queueing was worth a line of; without text nothing. */
void queued_log(const struct error *event);

#endif
