/*
 * What a download asks of PostgreSQL. Not for other folders.
 */
#ifndef LARDER_DB_LEARN_STREAM_H
#define LARDER_DB_LEARN_STREAM_H

#include "db/learn.h"

/*
 * Makes the texts of a download whose parameters have these types, whose names it asks for. False:
 * memory, or PostgreSQL could not be asked.
 */
MUST_CHECK bool learn_stream(struct db_connection *connection, const struct route *route,
                             const uint32_t *types, int64_t timeout, struct arena *arena,
                             struct learned_stream *ret_stream, struct db_failure *failure);

#endif
