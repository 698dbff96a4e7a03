/*
 * A writer reads its own writes: what a write changed is struck before its answer is sent.
 *
 * The tags are bumped in Redis, and their number is written to the clocks that all processes of
 * the host share, so no process of it serves what is older from then on. With Redis away the host's
 * clocks alone are raised, and larderd bumps the tags when it can.
 */
#ifndef LARDER_SERVE_STRIKE_H
#define LARDER_SERVE_STRIKE_H

#include "db/write.h"
#include "serve/exchange.h"

/*
 * Strikes what the committed transaction struck, and the route's @invalidates. Never fails the
 * request; false: there is no Redis, or it was not told.
 */
bool strike_write(struct exchange *exchange, const struct db_written *written);

#endif
