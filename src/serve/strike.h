/*
 * A writer reads its own writes: what a write changed is not believed any more when its answer is
 * sent.
 *
 * The clocks that all processes of the host share say that a strike is awaited, so none of them
 * believes what has such a tag. Then the answer is sent, and then Redis is told to bump the tags;
 * the number that it gives is written to the clocks. With Redis away the host's clocks alone are
 * raised, and larderd bumps the tags when it can.
 */
#ifndef LARDER_SERVE_STRIKE_H
#define LARDER_SERVE_STRIKE_H

#include "db/write.h"
#include "serve/exchange.h"

/*
 * The route's @invalidates and the URI's tag, which no trigger knows: the write leaves them in the
 * outbox, so that they are struck even if this process dies or Redis is away. False: memory.
 */
MUST_CHECK bool strike_own(struct exchange *exchange, struct span **ret_tags, size_t *ret_count);

/*
 * Strikes what the committed transaction struck, and the route's @invalidates. Never fails the
 * request; false: there is no Redis, or it was not told. With @refreshes it has been bumped in
 * Redis; else strike_settle may still have to do that.
 */
bool strike_write(struct exchange *exchange, const struct db_written *written);

/* When the client has its answer, before anything else is asked of Redis: tells it, if need be. */
void strike_settle(struct exchange *exchange);

#endif
