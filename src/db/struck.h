/*
 * What the triggers of `larder install` struck in a transaction of ours, as it is told by the
 * transaction itself: larder.note (sql/larder/schema.sql) keeps it in the setting larder.struck.
 */
#ifndef LARDER_DB_STRUCK_H
#define LARDER_DB_STRUCK_H

#include "db/attempt.h"

/* To be sent last in a transaction, behind attempt_send_writer(attempt, true) at its beginning. */
void struck_ask(struct attempt *attempt);

/* From the round that answered it. */
struct db_struck struck_take(struct attempt *attempt);

/*
 * Once the transaction is over: asks for what the setting could not hold, in a round of its own,
 * which replaces the attempt's replies.
 */
void struck_complete(struct attempt *attempt, struct db_struck *struck);

void struck_free(struct db_struck *struck);

#endif
